"""The commands there are: `siv-jax NAME ...`, or `python -m siv_jax.MODULE ...` without the console command."""

import importlib

from siv_jax.cli import process
from siv_jax.errors import UserError

# Subcommand -> its module of siv_jax, which has a main(argv), and what it does.
COMMANDS = {
    "train": ("main", "train on a picture, a clip or a folder of pictures"),
    "app": ("app", "all of it on a page in the browser"),
    "sample": ("sample", "draw samples, or walks between them, from a trained model"),
    "render": ("render", "sharp pictures of any size from a photo's own patches"),
    "edit": ("edit", "harmonize, edit, paint, enlarge, animate, retarget with a trained model"),
    "evaluate": ("evaluate", "measure samples by the papers' metrics"),
    "compare": ("compare", "put several evaluations side by side"),
    "tables": ("tables", "the paper's tables: every model on every picture, beside the paper's numbers"),
    "weights": ("weights", "fetch the networks that the metrics need"),
    "export": ("export", "a trained model as one file to give away"),
    "import-reference": ("import_reference", "make a workdir of weights of the original implementation"),
}


def main(argv: list[str]) -> int | None:
    """Runs the subcommand that `argv` begins with; returns its exit code.

    Raises UserError: there is no such subcommand.
    """
    if not argv or argv[0] in ("--help", "-h"):
        print(overview())
        return 0 if argv else 2
    name, *rest = argv
    if name not in COMMANDS:
        raise UserError(f"there is no command {name!r}; there are {', '.join(COMMANDS)}")
    return importlib.import_module(f"siv_jax.{COMMANDS[name][0]}").main(rest)


def overview() -> str:
    """The subcommands and what they do, as lines."""
    lines = [f"  siv-jax {name:17} {does:60} (python -m siv_jax.{module})" for name, (module, does) in COMMANDS.items()]
    return "\n".join(["commands, each with --help:", *lines])


def run() -> None:
    """The console command siv-jax."""
    process.run(main)
