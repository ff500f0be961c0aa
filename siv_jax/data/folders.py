"""A folder of frames in natural order."""

import os
import re
from pathlib import Path

from siv_jax.config import DataConfig
from siv_jax.data.decoding import one_line
from siv_jax.data.files import FRAME_SUFFIXES, resolve, sniff
from siv_jax.data.pictures import picture_stills
from siv_jax.data.reel import Reel, reel_of_stills
from siv_jax.data.selection import choose, describe
from siv_jax.errors import UserError


def natural_key(name: str) -> tuple:
    """Sorts frame2 before frame10, upper and lower case alike."""
    parts = re.split("([0-9]+)", name.lower())
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in parts), name


def folder_reel(folder: Path, data: DataConfig) -> Reel:
    """The frames of `folder`: files with the suffix of a picture or an array. Hidden files are passed over.

    Raises:
      UserError: no frame in it, one that cannot be read, or frames that do not go together.
    """
    source = one_line(folder.resolve().name or folder)
    if data.start or data.end:
        raise UserError(f"{source} is a folder, its frames have no times: leave data.start and data.end at 0")
    try:
        names = [name for name in os.listdir(folder) if not name.startswith(".")]
    except OSError as error:
        raise UserError(f"{one_line(folder)} cannot be listed: {one_line(error.strerror)}") from None
    frames = sorted((name for name in names if Path(name).suffix.lower() in FRAME_SUFFIXES), key=natural_key)
    if not frames:
        raise UserError(
            f"{one_line(folder)} holds no picture: a folder must hold frames such as .png, .jpg, .tif or .npy"
        )
    notes = []
    passed_over = sorted(set(names) - set(frames), key=natural_key)
    if passed_over:
        shown = ", ".join(one_line(name, 60) for name in passed_over[:3])
        notes.append(
            f"{source}: {len(passed_over)} entries that are no frames are passed over, such as {shown}"
        )
    chosen = [frames[number] for number in choose(len(frames), data)]
    notes += describe(source, len(frames), len(chosen), data)
    files = []
    for name in chosen:
        path, is_folder = resolve(str(folder / name))
        if is_folder:
            raise UserError(f"{one_line(path)} is a folder with the name of a frame: move it away")
        sniff(path)
        files.append((one_line(f"{source}/{name}"), path))
    return reel_of_stills(source, len(frames), picture_stills(files, data.background, notes), notes)
