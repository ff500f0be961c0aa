"""The pictures that an edit works with, as the model sees values: float32 in [-1, 1]."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from siv_jax.config import DataConfig
from siv_jax.data import PixelFormat, Source, open_source
from siv_jax.data.resize import resize
from siv_jax.errors import UserError
from siv_jax.sampling.rendering import as_float

Size = tuple[int, int]  # height, width

# Sides in another proportion than the photo's by more than this factor are spoken of.
_SAME_ASPECT = 1.02


def read_picture(path: Path, channels: int, pixel_format: PixelFormat) -> np.ndarray:
    """float32 [h, w, channels] in [-1, 1] of a picture or an array, in the units of the training input.

    Raises:
      UserError: nothing readable there, several frames, or other channels than the model's.
    """
    source = open_source(DataConfig(path=str(path)))
    if source.num_frames != 1:
        raise UserError(f"{source.name} holds {source.num_frames} frames: save the one to work on as a picture")
    if source.channels != channels:
        raise UserError(f"{source.name} has {source.channels} channels; this model makes pictures of {channels}")
    (frame,) = source.frames()
    image = as_float(frame, source.format)
    if "picture" in (source.format.kind, pixel_format.kind):
        return image
    # Each array has a range of its own that became [-1, 1]; the model knows that of the one it learnt.
    return pixel_format.from_source(source.format.to_source(image))


def nearest_frame(photos: Iterable[np.ndarray], image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Of photos [h, w, C] the one that is closest to image [h, w, C] where mask bool [h, w] does not mark it."""
    known = np.ones_like(mask) if mask.all() else ~mask
    return min(photos, key=lambda photo: float(np.mean((photo[known] - image[known]) ** 2)))


def fitted(image: np.ndarray, size: Size) -> np.ndarray:
    """`image` [h, w, C] at `size`: bilinear, antialiased."""
    return resize(np.asarray(image, np.float32), *size)


def size_note(what: str, found: Size, size: Size) -> list[str]:
    """A line for people where `what` of the size `found` is brought to `size`."""
    if found == size:
        return []
    how = "resized" if same_aspect(found, size) else "stretched, its aspect being another,"
    return [f"{what} of {found[1]}x{found[0]} is {how} to {size[1]}x{size[0]}"]


def same_aspect(a: Size, b: Size) -> bool:
    """Whether the sides have the same proportion, up to the rounding of small sizes."""
    slack = _SAME_ASPECT + 1 / min(*a, *b)
    return 1 / slack <= (a[0] * b[1]) / (a[1] * b[0]) <= slack


def frames(source: Source, size: Size) -> Iterator[np.ndarray]:
    """The frames of a run's picture or clip, float32 [*size, C] in [-1, 1], one in memory at a time."""
    return (as_float(resize(frame, *size), source.format) for frame in source.frames())


def first_frame(source: Source, size: Size) -> tuple[np.ndarray, list[str]]:
    """The picture, or the first frame of a clip, as of `frames`, and a line for people where there are more."""
    notes = ["a clip's first frame is used"] if source.num_frames > 1 else []
    return next(frames(source, size)), notes
