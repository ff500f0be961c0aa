"""The names of the files that a draw wrote, kept in its folder: the next draw there replaces them and nothing else."""

import contextlib
import json
from pathlib import Path

from siv_jax.errors import UserError
from siv_jax.workdir.layout import write_text

_FILE = ".samples.json"


def claim(folder: Path, names: list[str], own: bool = False) -> None:
    """Makes room for the files of a draw and notes them: removes those of the last draw into the folder.

    Args:
      names: relative to the folder, with / in them.
      own: the folder is siv_jax's own, where nobody else's files of these names are.

    Raises:
      UserError: one of them is there though no draw wrote it, or samples are where no draw has been; nothing was
        removed.
    """
    of_last = noted(folder)
    foreign = sorted({name for name in names if (folder / name).exists()} - set(of_last))
    if not of_last:
        foreign += sorted(path.name for path in folder.glob("sample_*"))
    if foreign and not own:
        raise UserError(
            f"{folder} holds {foreign[0]}, of which is not noted that siv_jax wrote it: choose another folder, or move "
            "it away"
        )
    remove(folder)
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
