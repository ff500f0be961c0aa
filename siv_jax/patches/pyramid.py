"""Sizes of the levels from coarse to fine, and the photo at each of them.

Pictures are resized by Pillow on the host: a photo is resized once for all its samples and a rough picture is tiny, so
that a device would win nothing and would compile one more program for every size.
"""

import math
from typing import NamedTuple

import numpy as np
from PIL import Image

from siv_jax.data.resize import resize as resize_one
from siv_jax.errors import UserError

PATCH = 7
"""Side of a patch, in pixels of its level."""

Size = tuple[int, int]


class Level(NamedTuple):
    """Heights and widths at one level, in pixels: of the picture that is rendered, and of the photo it is made of."""

    output: Size
    photo: Size


def level_sizes(size: Size, photo_size: Size, *, scale: float, start: float, ratio: float) -> list[Level]:
    """Levels from the coarsest to `size`; one factor a level for both axes of both pictures.

    Args:
      size: height and width of the wanted picture.
      photo_size: height and width of the photo.
      scale: pixels of the wanted picture per pixel of the photo, at the last level.
      start: geometric mean of the sides of the coarsest level. A side shorter than a patch raises it.
      ratio: of a level's sides to the next level's, at most.

    Raises:
      UserError: the picture, or the photo at the last level, is smaller than a patch.
    """
    final = scale * photo_size[0], scale * photo_size[1]
    for what, sides in (("the picture to render", size), ("the photo, at the size of the picture,", final)):
        if min(round(side) for side in sides) < PATCH:
            raise UserError(
                f"{what} has {round(sides[1])}x{round(sides[0])} pixels (width x height): "
                f"rendering needs at least {PATCH} on each side"
            )
    first = max(start / math.sqrt(size[0] * size[1]), (PATCH + 1) / min(*size, *final))
    steps = max(0, math.ceil(math.log(1 / min(first, 1.0)) / math.log(1 / ratio) - 1e-9))
    factors = [min(first, 1.0) ** (1 - step / steps) for step in range(steps)] + [1.0]
    return [Level(tuple(round(f * side) for side in size), tuple(round(f * side) for side in final)) for f in factors]


def resize(pictures: np.ndarray, size: Size) -> np.ndarray:
    """float32 [n, height, width, channels] -> the same of `size`: bicubic, antialiased, within each channel's range."""
    if pictures.shape[1:3] == tuple(size):
        return np.asarray(pictures, np.float32)
    resized = [resize_one(picture, *size, Image.Resampling.BICUBIC) for picture in np.asarray(pictures, np.float32)]
    axes = (0, 1, 2)
    return np.clip(np.stack(resized), pictures.min(axes), pictures.max(axes))


def resize_labels(masks: np.ndarray, size: Size) -> np.ndarray:
    """Integers [n, height, width] -> the same of `size`, each the label at the pixel's centre."""
    rows, columns = (
        np.minimum(((np.arange(to) + 0.5) * of / to).astype(int), of - 1)
        for to, of in zip(size, masks.shape[1:], strict=True)
    )
    return masks[:, rows[:, None], columns]
