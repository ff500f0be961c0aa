"""Every input of a run, from the path in the config to frames at the training resolution."""

import dataclasses

import numpy as np

from siv_jax.config import DataConfig, ModelConfig
from siv_jax.data.decoding import one_line
from siv_jax.data.notes import Notes
from siv_jax.data.pixel_format import PixelFormat
from siv_jax.data.selection import choose, note_choice, refuse_times
from siv_jax.data.source import Reel
from siv_jax.errors import UserError
from siv_jax.models.siv_gan.plan import Plan, make_plan

__all__ = ["Frames", "PixelFormat", "load_frames"]


@dataclasses.dataclass(frozen=True)
class Frames:
    """What a run trains on.

    pixels: [N,H,W,C] at the plan's size, uint8; float32 in [-1,1] where the source is not 8-bit.
    frames_found: frames of the source between data.start and data.end, before stride and max_frames.
    source_size: (height, width) of the source as shown, before scaling.
    notes: what to say before training about choices that the reading made.
    """

    pixels: np.ndarray
    format: PixelFormat
    source: str
    is_video: bool
    frames_found: int
    source_size: tuple[int, int]
    notes: tuple[str, ...]


def load_frames(data: DataConfig, model: ModelConfig) -> tuple[Frames, Plan]:
    """Reads `data.path` and plans its model. One source frame is in memory at a time.

    Raises:
      UserError: nothing readable there, or a size that no plan fits; one line that names the file.
    """
    notes = Notes()
    reel = _open(data, notes)
    try:
        plan = make_plan(*reel.size, reel.channels, data.max_size, model)
    except UserError as error:
        raise UserError(f"{reel.source}: {error}") from None
    dtype = np.uint8 if reel.format.dtype == "uint8" else np.float32
    pixels = np.empty((reel.frames_used, plan.height, plan.width, plan.channels), dtype)
    reel.fill(pixels, notes)
    frames = Frames(
        pixels=pixels,
        format=reel.format,
        source=reel.source,
        is_video=reel.frames_used > 1,
        frames_found=reel.frames_found,
        source_size=reel.size,
        notes=notes.lines(),
    )
    return frames, plan


def _open(data: DataConfig, notes: Notes) -> Reel:
    # Pillow and the others are imported by those that read, not by those that only name the types.
    from siv_jax.data import animations, arrays, clips, drawn, files, folders, pictures, tfds_examples
    from siv_jax.data import source as reel

    if data.path.startswith(tfds_examples.PREFIX):
        return tfds_examples.tfds_reel(data, notes)
    if data.path.startswith(drawn.PREFIX):
        return drawn.drawn_reel(data, notes)
    path, is_folder = files.resolve(data.path)
    if is_folder:
        return folders.folder_reel(path, data, notes)
    name, kind = one_line(path.name), files.sniff(path)
    if kind != "other":
        array = (arrays.open_npy if kind == "npy" else arrays.open_tiff)(path, name, notes)
        refuse_times(name, data)
        numbers = choose(array.shape[0], data)
        note_choice(name, array.shape[0], len(numbers), data, notes)
        return reel.reel_of_stills(name, array.shape[0], array.stills(numbers), notes)
    frames = pictures.count_frames(path, name, notes)
    if frames == 0:
        return clips.clip_reel(path, data, notes)
    if frames > 1:
        return animations.animation_reel(path, data, notes)
    refuse_times(name, data)
    return reel.reel_of_stills(name, 1, pictures.picture_stills([(name, path)], data.background, notes), notes)
