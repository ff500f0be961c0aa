"""What is evaluated: samples beside the training images of their model, as arrays."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from siv_jax.data import Source
from siv_jax.data.notes import Notes
from siv_jax.data.pixel_format import PICTURE
from siv_jax.data.resize import resize
from siv_jax.errors import UserError
from siv_jax.metrics.measure import SMALLEST_SIDE
from siv_jax.sampling.pictures import viewable

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


def check_size(name: str, size: Size, advice: str = "") -> None:
    """Refuses samples that are too small for the networks. Raises UserError: a side under SMALLEST_SIDE."""
    if min(size) < SMALLEST_SIDE:
        raise UserError(
            f"{name}: samples of {shown(size)} are too small to measure; {SMALLEST_SIDE} pixels a side are the least"
            + advice
        )


def make_case(
    name: str,
    fakes: np.ndarray,
    names: tuple[str, ...],
    training: Source,
    source: dict[str, str | int],
    notes: Notes,
) -> Case:
    """The case of samples uint8 [N, H, W, 3], whatever size they have been brought to or rendered at.

    `training` holds the training images, which are brought from full size to that of the samples.
    """
    size = fakes.shape[1:3]
    if training.size != size:
        notes.add(training.name, f"brought from {shown(training.size)} to the samples' {shown(size)}")
    images = as_rgb(training.resized(*size))
    notes.extend(training.notes)
    gray = sum(not np.ptp(fake, axis=-1).any() for fake in fakes)
    if gray and np.ptp(images, axis=-1).any():
        notes.add(name, f"{gray} of {len(fakes)} samples are gray, the training images are not: that is measured")
    return Case(name, fakes, images, names, source, notes.lines())


def as_rgb(images: np.ndarray) -> np.ndarray:
    """uint8 [N, H, W, 3] of images [N, H, W, C], uint8 or float32 in [-1, 1]; see `viewable` for other channels."""
    return viewable(images if images.dtype == np.uint8 else PICTURE.to_source(images))


def brought_to(images: np.ndarray, size: Size) -> np.ndarray:
    """[N, *size, C] of images [N, H, W, C], uint8 or float32."""
    return images if images.shape[1:3] == size else np.stack([resize(image, *size) for image in images])


def shown(size: Size) -> str:
    """(height, width) as people write it: width x height."""
    return f"{size[1]}x{size[0]}"
