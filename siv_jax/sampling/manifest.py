"""The names of the files that a draw wrote, kept in its folder: the next draw there replaces them and nothing else."""

import contextlib
import json
from pathlib import Path

from siv_jax.workdir.layout import write_text

_FILE = ".samples.json"


def note(folder: Path, names: list[str]) -> None:
    """Notes the files that a draw is about to write; names are relative to the folder, with / in them."""
    write_text(folder / _FILE, json.dumps(names))


def noted(folder: Path) -> list[str]:
    """The names of the last draw into the folder, but those that lead out of it; none where there was no draw."""
    try:
        names = [Path(str(name)) for name in json.loads((folder / _FILE).read_text(encoding="utf-8"))]
        root = folder.resolve()
        inside = {parent: (root / parent).resolve().is_relative_to(root) for parent in {name.parent for name in names}}
    except (OSError, ValueError, TypeError, RecursionError):
        return []
    return [name.as_posix() for name in names if inside[name.parent] and name.name not in ("", "..")]


def remove(folder: Path) -> None:
    """Removes the files of the last draw, and the folders below that are empty without them."""
    names = noted(folder)
    for name in names:
        (folder / name).unlink(missing_ok=True)
    below = {parent for name in names for parent in Path(name).parents if parent.name}
    for parent in sorted(below, key=lambda path: len(path.parts), reverse=True):
        with contextlib.suppress(OSError):  # not empty, or gone
            (folder / parent).rmdir()
