"""The photo at a larger size from its own patches, without a network.

In small steps the picture is enlarged smoothly, and each of its patches gets what the most similar patch of the photo
lost when the photo was brought down and up by the same factor. The most similar one is looked for around the same
place, where it nearly always is (Freedman and Fattal, Image and Video Upscaling from Local Self-Examples, 2011).
"""

import math

import numpy as np
from PIL import Image
from scipy import ndimage

from siv_jax.apply.pictures import Size
from siv_jax.data.resize import resize

_STEP = 2 ** (1 / 3)  # largest factor of one step
_AROUND = 3  # how far from the same place patches are looked for, in pixels of the photo
_PATCH = 5
# Share of the detail that is added. Halved photos are restored 0.7 dB better so than by bicubic resizing; with all of
# the detail they are restored worse than by it.
_DETAIL = 0.5
_CORRECTIONS = 1  # of the picture by what it should become when it is brought down again


def enlarged(photo: np.ndarray, size: Size) -> np.ndarray:
    """Photo float32 [h, w, C] in [-1, 1] at `size`, no side of which is smaller: float32 [*size, C] in [-1, 1]."""
    picture, start = photo, photo.shape[:2]
    factors = [to / of for to, of in zip(size, start, strict=True)]
    steps = max(1, math.ceil(math.log(max(factors)) / math.log(_STEP) - 1e-9))
    for step in range(1, steps + 1):
        to = tuple(round(side * factor ** (step / steps)) for side, factor in zip(start, factors, strict=True))
        picture = _sharper(_smooth(picture, to), photo, [factor ** (1 / steps) for factor in factors])
        for _ in range(_CORRECTIONS):
            picture = picture + _smooth(photo - _smooth(picture, start), to)
    return np.clip(picture, photo.min((0, 1)), photo.max((0, 1)))


def _sharper(picture: np.ndarray, photo: np.ndarray, factors: list[float]) -> np.ndarray:
    """`picture`, enlarged smoothly by `factors`, with the photo's detail."""
    height, width = photo.shape[:2]
    down = tuple(max(1, round(side / factor)) for side, factor in zip((height, width), factors, strict=True))
    blurred = _smooth(_smooth(photo, down), (height, width))
    rows, columns = (
        np.minimum(((np.arange(to) + 0.5) * of / to).astype(int), of - 1)
        for to, of in zip(picture.shape[:2], (height, width), strict=True)
    )
    best = np.full(picture.shape[:2], np.inf, np.float32)
    match = np.zeros((*picture.shape[:2], 2), np.int64)
    shifts = range(-_AROUND, _AROUND + 1)
    for y, x in sorted(((y, x) for y in shifts for x in shifts), key=lambda shift: shift[0] ** 2 + shift[1] ** 2):
        row, column = np.clip(rows + y, 0, height - 1), np.clip(columns + x, 0, width - 1)
        distance = ((picture - blurred[row[:, None], column]) ** 2).sum(axis=-1)
        distance = ndimage.uniform_filter(distance, _PATCH)
        better = distance < best * (1 - 1e-4)
        best[better] = distance[better]
        match[better] = y, x
    return picture + _DETAIL * _voted(photo - blurred, match, rows, columns)


def _voted(detail: np.ndarray, match: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """What the patches that cover a pixel say of it, their mean: float32 [H, W, C] for matches [H, W, 2]."""
    height, width = detail.shape[:2]
    total = np.zeros((*match.shape[:2], detail.shape[-1]), np.float32)
    margin = _PATCH // 2
    padded = np.pad(match, ((margin, margin), (margin, margin), (0, 0)), mode="edge")
    for y, x in np.ndindex(_PATCH, _PATCH):
        shift = padded[y : y + len(rows), x : x + len(columns)]
        row = np.clip(rows[:, None] + shift[..., 0], 0, height - 1)
        column = np.clip(columns + shift[..., 1], 0, width - 1)
        total += detail[row, column]
    return total / _PATCH**2


def _smooth(picture: np.ndarray, size: Size) -> np.ndarray:
    return resize(picture, *size, Image.Resampling.BICUBIC)
