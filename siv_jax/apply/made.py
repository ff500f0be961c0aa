"""What an application makes, before it is written."""

import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np

from siv_jax.apply.blend import blended


@dataclasses.dataclass(frozen=True)
class Made:
    """Pictures as they come, one in memory at a time.

    images: float32 [H, W, C] in [-1, 1], before they are blended.
    count: of the images.
    notes: lines for people: what was resized, what the pictures were made by.
    photo, soft: float32 [H, W, C] and [H, W], what the images are blended with; None: they stay whole.
    frames_per_second: of an animation; None: they are pictures.
    """

    images: Iterable[np.ndarray]
    count: int
    notes: list[str]
    photo: np.ndarray | None = None
    soft: np.ndarray | None = None
    frames_per_second: int | None = None

    def finished(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Each picture as it was made, and blended."""
        for image in self.images:
            yield image, image if self.soft is None else blended(self.photo, image, self.soft)
