"""Samples without near copies of the input: each is the first of several draws that is none.

A model of a single picture may draw the picture's own layout more often than others. Passing over such draws costs no
training.
"""

from typing import Any

import numpy as np

from siv_jax.data import Source
from siv_jax.data.resize import limited, resize
from siv_jax.nn import spread
from siv_jax.sampling.drawer import Drawer

# Layouts are compared at this many pixels of the longer side.
_SIDE = 32
# Nearer to a view of the input than this share of how far such views differ among themselves: a near copy. Of a model
# with 3 copies in 10 samples that is the nearer half, of one without copies none (quick, two photos of Places).
_COPY = 0.5
# A copy, or its mirror image, that is moved sideways by up to this share of the width counts as one.
_MOST_SHIFT = 0.25


def latents(
    drawer: Drawer, weights: Any, source: Source, candidates: int, seed: int, start: int, count: int
) -> np.ndarray:
    """Noise of samples number `start` to `start + count` of `seed`, each chosen among draws of its own.

    Sample i is the first of draws `i * candidates` to `(i + 1) * candidates` of the seed that is no near copy of the
    source, or else the one that is farthest from it: it depends on its number alone. float32 [count, ...].
    """
    noise = drawer.noise(seed, start * candidates, count * candidates)
    if not len(noise):
        return noise
    size = limited(drawer.size, _SIDE)
    views, enough = views_of(source, size), _COPY * float(spread.of_views(source.resized(*size)))
    found = [
        distances(drawer(weights, noise[i : i + drawer.batch]).images, views)
        for i in range(0, len(noise), drawer.batch)
    ]
    found = np.concatenate(found).reshape(count, candidates)
    novel = found >= enough
    chosen = np.where(novel.any(axis=1), novel.argmax(axis=1), found.argmax(axis=1))
    return noise[np.arange(count) * candidates + chosen]


def views_of(source: Source, size: tuple[int, int]) -> np.ndarray:
    """All frames and their mirror images, moved sideways pixel by pixel: float32 [M, *size, C] in [-1, 1]."""
    frames = source.resized(*size)
    frames = source.format.from_source(frames) if frames.dtype == np.uint8 else frames
    frames = np.concatenate([frames, frames[:, :, ::-1]])
    most = int(size[1] * _MOST_SHIFT)
    return np.concatenate([np.roll(frames, shift, axis=2) for shift in range(-most, most + 1)])


def distances(images: np.ndarray, views: np.ndarray) -> np.ndarray:
    """Root mean square difference of each image float32 [n, H, W, C] to the nearest of `views`; -1 if not finite."""
    small = np.stack([resize(image, *views.shape[1:3]) for image in images])
    ours, theirs = (array.reshape(len(array), -1).astype(np.float64) for array in (small, views))
    squares = (ours**2).sum(axis=1)[:, None] + (theirs**2).sum(axis=1) - 2 * ours @ theirs.T
    nearest = np.sqrt(np.maximum(squares.min(axis=1), 0) / ours.shape[1])
    return np.where(np.isfinite(nearest), nearest, -1.0)
