"""Every input of a run: which reader a path needs."""

import dataclasses

import numpy as np

from siv_jax.config import DataConfig
from siv_jax.data.decoding import one_line
from siv_jax.data.notes import Notes
from siv_jax.data.pixel_format import PixelFormat
from siv_jax.data.source import Source
from siv_jax.errors import UserError


def open_source(data: DataConfig) -> Source:
    """The frames that `data.path` names, chosen as `data` says, by the content of the file.

    Raises:
      UserError: nothing readable there; one line that names the file.
    """
    # Each package that decodes is imported where it is needed, not by those that only name the types.
    from siv_jax.data import animations, arrays, clips, drawn, files, folders, pictures, selection, tfds_examples
    from siv_jax.data.source import source_of_stills

    notes = Notes()
    if data.path.startswith(tfds_examples.PREFIX):
        return tfds_examples.tfds_source(data, notes)
    if data.path.startswith(drawn.PREFIX):
        return drawn.drawn_source(data, notes)
    path, is_folder = files.resolve(data.path)
    if is_folder:
        return folders.folder_source(path, data, notes)
    name, kind = one_line(path.name), files.sniff(path)
    if kind == "other":
        frames = pictures.count_frames(path, name, notes)
        if frames != 1:
            return (animations.animation_source if frames else clips.clip_source)(path, name, data, notes)
        stills = pictures.picture_stills([(name, path)], data.background, notes)
    else:
        stills = (arrays.npy_stills if kind == "npy" else arrays.tiff_stills)(path, name, notes)
    numbers = selection.select(name, len(stills), data, notes)
    return source_of_stills(name, len(stills), [stills[number] for number in numbers], notes)


# ---- Until the merge: what the rest of the tree still calls. ----


@dataclasses.dataclass(frozen=True)
class Frames:
    pixels: np.ndarray
    format: PixelFormat
    source: str
    is_video: bool
    frames_found: int
    source_size: tuple[int, int]
    notes: tuple[str, ...]


def load_frames(data: DataConfig, model) -> tuple:
    from siv_jax.models.siv_gan.plan import make_plan

    source = open_source(data)
    try:
        plan = make_plan(*source.size, source.channels, data.max_size, model)
    except UserError as error:
        raise UserError(f"{source.name}: {error}") from None
    pixels = source.resized(plan.height, plan.width)
    frames = Frames(
        pixels,
        source.format,
        source.name,
        source.num_frames > 1,
        source.frames_found,
        source.size,
        source.notes.lines(),
    )
    return frames, plan


@dataclasses.dataclass(frozen=True)
class _Reel:
    opened: Source
    remarks: Notes

    def __getattr__(self, name):
        names = {"source": "name", "frames_used": "num_frames"}
        return getattr(self.opened, names.get(name, name))

    def fill(self, out, notes) -> None:
        out[...] = self.opened.resized(*out.shape[1:3])
        for line in self.opened.notes.lines():
            notes.add(*line.split(": ", 1))


def _open(data: DataConfig, notes: Notes) -> _Reel:
    return _Reel(open_source(data), notes)
