"""The pictures or clips of a table, and what part of a clip's frames is used."""

import dataclasses
import os
import shutil
from pathlib import Path

import filelock

from siv_jax.config import DataConfig
from siv_jax.data import open_source
from siv_jax.data.files import CLIP_SUFFIXES, FRAME_SUFFIXES
from siv_jax.data.folders import entries
from siv_jax.errors import UserError
from siv_jax.sampling import pictures
from siv_jax.sampling.pictures import viewable

_ALL = 10**5  # data.max_frames that leaves out none


@dataclasses.dataclass(frozen=True)
class Input:
    """A picture or a clip.

    digest: of its pixels; empty where it cannot be read, for which `problem` says why.
    frames: that it has.
    """

    name: str
    path: Path
    digest: str = ""
    frames: int = 1
    problem: str = ""


def find(data: Path, clip: bool, only: tuple[str, ...] = ()) -> list[Input]:
    """The inputs in `data`, a file or a folder, by name; of `only` these names.

    Of clips a folder is one clip where it holds frames, else a folder of clips, each a file or a folder of frames.

    Raises UserError: nothing there, or none of one of the names.
    """
    data = Path(os.path.expanduser(data))
    if not data.exists():
        raise UserError(f"{data} does not exist: --data takes a {'clip' if clip else 'picture'} or a folder of them")
    named = _names(_paths(data, clip))
    unknown = next((name for name in only if name not in named), None)
    if unknown is not None:
        raise UserError(f"--only: there is no {unknown} in {data}; there are {', '.join(named)}")
    return [_looked_at(name, path) for name, path in named.items() if not only or name in only]


def _paths(data: Path, clip: bool) -> list[Path]:
    if data.is_file():
        return [data]
    inside = entries(data)
    frames = [path for path in inside if path.suffix.lower() in FRAME_SUFFIXES and path.is_file()]
    if clip and frames:
        return [data.resolve()]
    found = [path for path in inside if path.is_dir() or path.suffix.lower() in CLIP_SUFFIXES] if clip else frames
    if not found:
        raise UserError(f"{data} holds no {'clip' if clip else 'picture'}")
    return found


def _names(paths: list[Path]) -> dict[str, Path]:
    """Names without ending where these differ. No two are alike, also on disks that do not tell A from a."""
    stems = {path: path.name if path.is_dir() else path.stem for path in paths}
    lower = [stem.lower() for stem in stems.values()]
    names = {path: stem for path, stem in stems.items() if lower.count(stem.lower()) == 1}
    taken = {name.lower() for name in names.values()}
    for path in (path for path in paths if path not in names):
        full = path.name.replace(".", "_")
        candidates = [full, *(f"{full}_{i}" for i in range(2, len(paths) + 2))]
        names[path] = next(name for name in candidates if name.lower() not in taken)
        taken.add(names[path].lower())
    return {names[path]: path for path in paths}


def _looked_at(name: str, path: Path) -> Input:
    path = path.absolute()
    try:
        source = open_source(DataConfig(path=str(path)))
        return Input(name, path, source.digest(), source.frames_found)
    except UserError as error:
        return Input(name, path, problem=str(error))


def number_of_frames(frames: int, strides: list[int], most: int) -> int:
    """How many frames every n-th leaves, the same for each n of `strides`, of a clip of so many (paper, Fig. 5)."""
    return min(most, 1 + (frames - 1) // max(strides))


def every_nth(path: Path, stride: int, count: int, folder: Path) -> Path:
    """Writes frames 0, stride, 2 stride, ... of a clip, `count` of them, into the new `folder`; returns it.

    A folder that is there already is complete. While one process writes it, others that need it wait.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder.with_name(f".{folder.name}.lock")):
        if folder.is_dir():
            return folder
        for left in folder.parent.glob(f".{folder.name}.*"):
            if left.is_dir():  # of a process that was killed
                shutil.rmtree(left)
        partial = folder.with_name(f".{folder.name}.partial")
        partial.mkdir()
        source = open_source(DataConfig(path=str(path), max_frames=_ALL))
        for number, frame in enumerate(source.frames()):
            if number % stride == 0 and number // stride < count:
                shown = viewable(frame if frame.dtype.kind == "u" else pictures.to_uint8(frame))
                pictures.save_png(partial / f"{number:06d}.png", shown)
        partial.rename(folder)
    return folder
