"""A run's command as text: what to type to do the same again."""

import shlex
import sys
from pathlib import Path

from siv_jax import config as config_lib
from siv_jax.config import Config


def command(config: Config, folder: Path) -> str:
    """The shell line that began this process, or, where no siv_jax command did, as in a notebook, its equivalent."""
    if Path(sys.argv[0]).name == "siv-jax":
        return shlex.join(["siv-jax", *sys.argv[1:]])
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is not None and spec.name.startswith("siv_jax."):
        return shlex.join(["python", *sys.orig_argv[1:]])
    return equivalent(config, folder)


def equivalent(config: Config, folder: Path) -> str:
    """A siv_jax.main command for `config` in `folder`: every setting that is not the single_image config's."""
    usual = config_lib.flatten(type(config)())
    changed = {key: value for key, value in config_lib.flatten(config).items() if value != usual[key]}
    settings = [f"--config.{key}={value}" for key, value in changed.items()]
    return shell("siv_jax.main", "--config", "single_image", *settings, "--workdir", folder)


def shell(module: str, *words: object) -> str:
    """`python -m module words`, quoted for a shell."""
    return shlex.join(["python", "-m", module, *map(str, words)])
