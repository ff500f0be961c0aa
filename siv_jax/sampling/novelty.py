"""Samples least like the input: of several draws each sample is the one that is farthest from the picture.

A model of a single picture draws some layouts more often than others, the picture's own most of all. Choosing among a
few draws costs no training, spreads the samples over the layouts and leaves near copies out.
"""

from typing import Any

import numpy as np

from siv_jax.data import Source
from siv_jax.data.resize import limited, resize
from siv_jax.sampling.drawer import Drawer

# Layouts are compared at this many pixels of the longer side.
_SIDE = 32
# A copy, or its mirror image, that is moved sideways by up to this share of the width counts as one.
_MOST_SHIFT = 0.25


def latents(
    drawer: Drawer, weights: Any, source: Source, candidates: int, seed: int, start: int, count: int
) -> np.ndarray:
    """Noise of samples number `start` to `start + count` of `seed`, each chosen among draws of its own.

    Sample i is the one of draws `i * candidates` to `(i + 1) * candidates` of the seed that has the largest distance to
    the source, see `distances`: it depends on its number alone. float32 [count, ...].
    """
    noise = drawer.noise(seed, start * candidates, count * candidates)
    views = views_of(source, limited(drawer.size, _SIDE))
    if not len(noise):
        return noise
    found = [
        distances(drawer(weights, noise[i : i + drawer.batch]).images, views)
        for i in range(0, len(noise), drawer.batch)
    ]
    best = np.concatenate(found).reshape(count, candidates).argmax(axis=1)
    return noise[np.arange(count) * candidates + best]


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
