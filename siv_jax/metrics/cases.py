"""What is evaluated: samples beside the training images of their model, as arrays."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from siv_jax.config import DataConfig
from siv_jax.data import Source, open_source
from siv_jax.data.notes import Notes
from siv_jax.data.pixel_format import PICTURE
from siv_jax.data.resize import resize
from siv_jax.errors import UserError
from siv_jax.metrics.measure import SMALLEST_SIDE

Size = tuple[int, int]  # height, width
PendingCase = Callable[[], "Case"]  # looked at already; the call reads the case or draws its samples


class Case(NamedTuple):
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


def check_size(name: str, size: Size) -> None:
    """Refuses samples that are too small for the networks. Raises UserError: a side under SMALLEST_SIDE."""
    if min(size) < SMALLEST_SIDE:
        raise UserError(
            f"{name}: samples of {shown(size)} are too small to measure; {SMALLEST_SIDE} pixels a side are the least"
        )


def make_case(
    name: str,
    fakes: np.ndarray,
    names: tuple[str, ...],
    reals: Callable[[Size], np.ndarray],
    source: dict[str, str | int],
    notes: Notes,
) -> Case:
    """The case of samples uint8 [N, H, W, 3], whatever size they have been brought to or rendered at.

    Args:
      names: of the samples.
      reals: gives the training images at the samples' size (height, width), straight from their full size: images
        [M, H, W, C] as `as_rgb` takes them.
    """
    images = as_rgb(reals(fakes.shape[1:3]))
    gray = sum(not np.ptp(fake, axis=-1).any() for fake in fakes)
    if gray and np.ptp(images, axis=-1).any():
        notes.add(name, f"{gray} of {len(fakes)} samples are gray, the training images are not: that is measured")
    return Case(name, fakes, images, names, source, notes.lines())


def read_reals(path: Path, size: Size, notes: Notes) -> np.ndarray:
    """The picture, clip or folder of frames at `path`, brought to `size`: uint8, or float32 in [-1, 1], [M, H, W, C].

    Raises UserError: nothing readable there.
    """
    return resized(open_source(DataConfig(path=str(path))), size, notes)


def resized(source: Source, size: Size, notes: Notes) -> np.ndarray:
    """All frames of a source, brought from full size to `size`."""
    if source.size != size:
        notes.add(source.name, f"brought from {shown(source.size)} to the samples' {shown(size)}")
    pixels = source.resized(*size)
    notes.extend(source.notes)
    return pixels


def as_rgb(images: np.ndarray) -> np.ndarray:
    """uint8 [N, H, W, 3] of images [N, H, W, C], uint8 or float32 in [-1, 1].

    One channel is gray, of others the first three are taken, and a missing third is 0.
    """
    images = images if images.dtype == np.uint8 else PICTURE.to_source(images)
    if images.shape[-1] == 1:
        return np.repeat(images, 3, axis=-1)
    return np.pad(images[..., :3], [(0, 0)] * 3 + [(0, max(0, 3 - images.shape[-1]))])


def brought_to(images: np.ndarray, size: Size) -> np.ndarray:
    """[N, *size, C] of images [N, H, W, C], uint8 or float32."""
    return images if images.shape[1:3] == size else np.stack([resize(image, *size) for image in images])


def shown(size: Size) -> str:
    """(height, width) as people write it: width x height."""
    return f"{size[1]}x{size[0]}"
