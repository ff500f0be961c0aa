"""A folder of frames in natural order."""

import os
import re
from pathlib import Path

from siv_jax.config import DataConfig
from siv_jax.data.arrays import npy_stills
from siv_jax.data.decoding import one_line
from siv_jax.data.files import FRAME_SUFFIXES, resolve, sniff
from siv_jax.data.notes import Notes
from siv_jax.data.pictures import picture_stills
from siv_jax.data.selection import select
from siv_jax.data.source import Source, Still, source_of_stills
from siv_jax.data.tiffs import tiff_stills
from siv_jax.errors import UserError


def natural_key(name: str) -> tuple:
    """Sorts frame2 before frame10, upper and lower case alike."""
    parts = re.split("([0-9]+)", name.lower())
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in parts), name


def entries(folder: Path) -> list[Path]:
    """What a folder holds, in natural order and without hidden files. Raises UserError: it cannot be listed."""
    try:
        names = [name for name in os.listdir(folder) if not name.startswith(".")]
    except OSError as error:
        raise UserError(f"{one_line(folder)} cannot be listed: {one_line(error.strerror)}") from None
    return [folder / name for name in sorted(names, key=natural_key)]


def folder_source(folder: Path, data: DataConfig, notes: Notes) -> Source:
    """The frames of `folder`: files with the suffix of a picture or an array. Hidden files are passed over.

    Raises UserError: no frame in it, one that cannot be read, or frames that do not go together.
    """
    source = one_line(folder.resolve().name or folder)
    names = [path.name for path in entries(folder)]
    frames = [name for name in names if Path(name).suffix.lower() in FRAME_SUFFIXES]
    if not frames:
        raise UserError(
            f"{one_line(folder)} holds no picture: a folder must hold frames such as .png, .jpg, .tif or .npy"
        )
    if len(frames) < len(names):
        shown = ", ".join(one_line(name, 60) for name in [name for name in names if name not in set(frames)][:3])
        notes.add(source, f"{len(names) - len(frames)} entries that are no frames are passed over, such as {shown}")
    chosen = [frames[number] for number in select(source, len(frames), data, notes)]
    return source_of_stills(source, len(frames), _stills(folder, source, chosen, data, notes), notes)


def _stills(folder: Path, source: str, names: list[str], data: DataConfig, notes: Notes) -> list[Still]:
    pictures, arrays = [], []
    for file_name in names:
        name = one_line(f"{source}/{file_name}")
        path, is_folder = resolve(str(folder / file_name))
        if is_folder:
            raise UserError(f"{name} is a folder with the name of a frame: move it away")
        kind = sniff(path)
        if kind == "other":
            pictures.append((name, path))
            continue
        frames = (npy_stills if kind == "npy" else tiff_stills)(path, name, notes)
        if len(frames) > 1:
            raise UserError(f"{name} holds {len(frames)} frames; in a folder every file must hold one")
        arrays += frames
    if pictures and arrays:
        raise UserError(f"{source} mixes pictures and arrays: {pictures[0][0]} and {arrays[0].name}")
    return arrays or picture_stills(pictures, data.background, notes)
