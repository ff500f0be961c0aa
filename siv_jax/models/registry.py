"""Finds a model family by its name, which `config.model.name` gives.

A family is one folder, siv_jax/models/NAME: config.py holds its settings, a class `Config`, and family.py all that
`siv_jax.models.interface.Family` asks for. Nothing outside the folder names it. A family may also be a package of its
own that is installed beside this one and declares itself as an entry point of the group `siv_jax.models`.
"""

import importlib
import importlib.metadata
import pkgutil
from types import ModuleType
from typing import TYPE_CHECKING

import siv_jax.models
from siv_jax.errors import UserError

if TYPE_CHECKING:
    from siv_jax.models.interface import Family

DEFAULT = "siv_gan"
ENTRY_POINTS = "siv_jax.models"


def get(name: str) -> "Family":
    """The family of this name. Raises UserError: there is none."""
    return _module(name, "family")


def config_class(name: str) -> type:
    """The class of its settings, without loading JAX. Raises UserError: there is no such family."""
    return _module(name, "config").Config


def names() -> list[str]:
    """Names of the families there are."""
    return sorted({*_own(), *(entry.name for entry in importlib.metadata.entry_points(group=ENTRY_POINTS))})


def _module(name: str, part: str) -> ModuleType:
    if name in _own():
        return importlib.import_module(f"siv_jax.models.{name}.{part}")
    for entry in importlib.metadata.entry_points(group=ENTRY_POINTS, name=name):
        return importlib.import_module(f"{entry.value}.{part}")
    raise UserError(f"config key model.name is {name!r}; the models there are: {', '.join(names())}")


def _own() -> list[str]:
    return [module.name for module in pkgutil.iter_modules(siv_jax.models.__path__) if module.ispkg]
