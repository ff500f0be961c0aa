"""What is evaluated: samples beside the training images of their model, as arrays."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

from siv_jax.config import DataConfig
from siv_jax.data import open as frames
from siv_jax.data.notes import Notes
from siv_jax.data.resize import resize
from siv_jax.errors import UserError
from siv_jax.metrics.measure import SMALLEST_SIDE
from siv_jax.sampling import pictures

Size = tuple[int, int]  # height, width


@dataclasses.dataclass(frozen=True)
class Case:
    """One training image or clip, and samples of one model of it.

    fakes, reals: uint8 [N, H, W, 3] and [M, H, W, 3].
    names: of the samples.
    source: where they come from, for the record.
    notes: what to say about choices that the reading made.
    """

    name: str
    fakes: np.ndarray
    reals: np.ndarray
    names: tuple[str, ...]
    source: dict[str, str | int]
    notes: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Pending:
    """A case that has been looked at; `load` reads it or draws its samples."""

    name: str
    load: Callable[[], Case]


def check_size(name: str, size: Size) -> None:
    """Refuses samples that are too small for the networks.

    Raises:
      UserError: a side under SMALLEST_SIDE.
    """
    if min(size) < SMALLEST_SIDE:
        raise UserError(
            f"{name}: samples of {shown(size)} are too small to measure; {SMALLEST_SIDE} pixels a side are the least"
        )


def read_reals(path: Path, size: Size, notes: Notes) -> np.ndarray:
    """uint8 [M, H, W, 3] of the picture, clip or folder of frames at `path`, brought to `size`.

    Raises:
      UserError: nothing readable there.
    """
    reel = frames._open(DataConfig(path=str(path)), notes)
    if reel.size != size:
        notes.add(reel.source, f"brought from {shown(reel.size)} to the samples' {shown(size)}")
    dtype = np.uint8 if reel.format.dtype == "uint8" else np.float32
    pixels = np.empty((reel.frames_used, *size, reel.channels), dtype)
    reel.fill(pixels, notes)
    return as_rgb(pixels)


def as_rgb(images: np.ndarray) -> np.ndarray:
    """uint8 [N, H, W, 3] of uint8 images, or float32 ones in [-1, 1], of any number of channels."""
    return pictures.viewable(images if images.dtype == np.uint8 else pictures.to_uint8(images))


def brought_to(images: np.ndarray, size: Size) -> np.ndarray:
    """uint8 [N, *size, 3] of uint8 [N, H, W, 3]."""
    return images if images.shape[1:3] == size else np.stack([resize(image, *size) for image in images])


def note_gray(case: str, fakes: np.ndarray, reals: np.ndarray, notes: Notes) -> None:
    """Says so if samples have no colour and the training images have."""
    gray = [not np.ptp(fake, axis=-1).any() for fake in fakes]
    if any(gray) and np.ptp(reals, axis=-1).any():
        notes.add(case, f"{sum(gray)} of {len(gray)} samples are gray, the training images are not: that is measured")


def shown(size: Size) -> str:
    """(height, width) as people write it: width x height."""
    return f"{size[1]}x{size[0]}"
