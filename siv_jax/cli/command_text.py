"""Commands as text: what to type to go on with a run, or to do something with it."""

import shlex
import sys
from pathlib import Path

from siv_jax.workdir import layout


def training(folder: Path) -> str:
    """The shell line that goes on with the run in `folder`.

    It is the one that began this process where that is the command that trains. It is none in a notebook, say, and
    another one where the run is evaluated.
    """
    subcommand = sys.argv[1:2] == ["train"]
    if Path(sys.argv[0]).name == "siv-jax" and subcommand:
        return shlex.join(["siv-jax", *sys.argv[1:]])
    name = getattr(getattr(sys.modules["__main__"], "__spec__", None), "name", "")
    if name == "siv_jax.main" or (name == "siv_jax.__main__" and subcommand):
        return shlex.join(["python", *sys.orig_argv[1:]])
    return resuming(folder)


def resuming(folder: Path) -> str:
    """A siv_jax.main command by the settings that the run in `folder` keeps, whatever its model."""
    return shell("siv_jax.main", "--config", folder / layout.CONFIG, "--workdir", folder)


def shell(module: str, *words: object) -> str:
    """`python -m module words`, quoted for a shell."""
    return shlex.join(["python", "-m", module, *map(str, words)])
