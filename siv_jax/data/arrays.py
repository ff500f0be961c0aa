"""Arrays, such as .npy files hold, with their own type and 1 to 8 channels."""

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np

from siv_jax.data.decoding import check_pixels, decoding
from siv_jax.data.files import numpy_file
from siv_jax.data.notes import Notes
from siv_jax.data.source import MAX_CHANNELS, Still
from siv_jax.errors import UserError

# Samples of one frame: float64 values of all of them are in memory at a time, 3.2 GB.
_MAX_SAMPLES = 400_000_000

Shape = tuple[int, int, int, int]  # frames, height, width, channels


def array_stills(name: str, kind: str, array: np.ndarray) -> list[Still]:
    """The frames of an array that is at hand: [H,W], [H,W,C] or [N,H,W,C].

    Raises UserError: an array of another shape, or not of plain numbers.
    """
    shape = array.shape
    if len(shape) != 2 and (len(shape) not in (3, 4) or shape[-1] > MAX_CHANNELS):
        raise UserError(
            f"{name} holds an array of shape {shape}; it must be [H,W], [H,W,C] or [N,H,W,C] "
            f"with 1 to {MAX_CHANNELS} channels"
        )
    shape = (1, *shape, 1) if len(shape) == 2 else (1, *shape)[-4:]
    return stills_of(name, kind, array.dtype, shape, lambda notes: array.reshape(shape))


def npy_stills(path: Path, name: str, notes: Notes) -> list[Still]:
    """The frames of an .npy file, memory-mapped: [H,W], [H,W,C] or [N,H,W,C].

    Raises UserError: damaged, of another shape, or not of plain numbers. Pickled objects are never loaded.
    """
    with decoding(name, notes), numpy_file(path, name):
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    return array_stills(name, "npy", array)


def stills_of(
    name: str, kind: str, dtype: np.dtype | None, shape: Shape, read: Callable[[Notes], np.ndarray], **tags: str
) -> list[Still]:
    """The frames that `read` gives as one array of this shape; it is read once where there are several.

    Args:
      tags: see Still.

    Raises UserError: samples or a shape that cannot be trained on.
    """
    count, height, width, channels = shape
    if dtype is None or dtype.kind not in "buif" or dtype.itemsize > 8:
        raise UserError(f"{name} holds samples of type {dtype}; whole and floating-point numbers can be trained")
    if not 1 <= channels <= MAX_CHANNELS:
        raise UserError(f"{name} has {channels} channels; 1 to {MAX_CHANNELS} can be trained")
    if count < 1:
        raise UserError(f"{name} holds no frames")
    check_pixels(name, height, width, _MAX_SAMPLES // max(channels, 2))
    read = functools.cache(read) if count > 1 else read

    def load(number: int, notes: Notes) -> np.ndarray:
        return np.ascontiguousarray(read(notes)[number], dtype=np.dtype(dtype.name))

    return [
        Still(name, kind, dtype.name, (height, width), channels, functools.partial(load, number), **tags)
        for number in range(count)
    ]
