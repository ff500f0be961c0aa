"""Varied samples: each is the one of several draws that differs most from the samples before it.

A model of a single picture draws some layouts far more often than others. Choosing among draws costs no training.
"""

from typing import Any

import numpy as np

from siv_jax.data.resize import limited, resize
from siv_jax.sampling.drawer import Drawer

# So many samples in a row are chosen to differ from each other; a sample does not depend on those of another group, so
# that any of a million can be drawn alone.
_GROUP = 32
# Samples are compared at this many pixels of the longer side.
_SIDE = 32


def latents(drawer: Drawer, weights: Any, candidates: int, seed: int, start: int, count: int) -> np.ndarray:
    """Noise of samples number `start` to `start + count` of `seed`, each chosen among draws of its own.

    Sample i is one of draws `i * candidates` to `(i + 1) * candidates` of the seed: the first one of the first sample
    of a group, and then the one whose nearest sample of the group so far is farthest away. float32 [count, ...].
    """
    if candidates == 1:
        return drawer.noise(seed, start, count)
    first = start - start % _GROUP
    groups = [
        _of_group(drawer, weights, candidates, seed, number, min(_GROUP, start + count - number))
        for number in range(first, start + count, _GROUP)
    ]
    noise = np.concatenate(groups) if groups else drawer.noise(seed, 0, 0)
    return noise[start - first :]


def _of_group(drawer: Drawer, weights: Any, candidates: int, seed: int, start: int, count: int) -> np.ndarray:
    noise = drawer.noise(seed, start * candidates, count * candidates)
    drawn = [drawer(weights, noise[i : i + drawer.batch]).images for i in range(0, len(noise), drawer.batch)]
    size = limited(drawer.size, _SIDE)
    small = np.stack([resize(image, *size).ravel() for images in drawn for image in images])
    return noise[farthest(small.reshape(count, candidates, -1))]


def farthest(draws: np.ndarray) -> np.ndarray:
    """Which draw each sample takes: int [n], in 0 to n * candidates - 1, of draws [n, candidates, D].

    A draw that is not finite is taken only where all of a sample's are.
    """
    chosen = [0]
    nearest = np.full(draws.shape[:2], np.inf)  # of every draw, the squared distance to the nearest sample so far
    for i in range(1, len(draws)):
        last = draws[i - 1, chosen[-1]]
        nearest[i:] = np.minimum(nearest[i:], ((draws[i:] - last) ** 2).sum(axis=-1))
        chosen.append(int(np.nan_to_num(nearest[i], nan=-1.0).argmax()))
    return np.arange(len(draws)) * draws.shape[1] + chosen
