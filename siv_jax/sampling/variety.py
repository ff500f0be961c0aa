"""Varied samples: each is the one of several draws that differs most from the samples before it.

A model of a single picture draws some layouts far more often than others, its picture's own among them. Choosing among
draws costs no training.
"""

from typing import Any

import numpy as np

from siv_jax.data import Source
from siv_jax.data.resize import limited, resize
from siv_jax.patches import moved
from siv_jax.sampling.drawer import Drawer
from siv_jax.sampling.rendering import as_float

# So many samples in a row are chosen to differ from each other; a sample does not depend on those of another group, so
# that any of a million can be drawn alone.
_GROUP = 32
# Samples are compared at this many pixels of the longer side.
_SIDE = 32
# A draw of which more than this share is the picture moved as a whole counts as a copy. Of three models of photos those
# draws whose renderings were near copies had .50 to .94 of it, the others .15 to .69, most of them under .5.
_COPIED = 0.55


def latents(
    drawer: Drawer, weights: Any, candidates: int, seed: int, start: int, count: int, source: Source | None = None
) -> np.ndarray:
    """Noise of samples number `start` to `start + count` of `seed`, each chosen among draws of its own.

    Sample i is one of draws `i * candidates` to `(i + 1) * candidates` of the seed: the first one of the first sample
    of a group, and then the one whose nearest sample of the group so far is farthest away. Copies of the picture in
    `source` are taken only where all of a sample's draws are; of a clip there is none to copy. float32 [count, ...].
    """
    if candidates == 1:
        return drawer.noise(seed, start, count)
    first = start - start % _GROUP
    size = limited(drawer.size, _SIDE)
    photo = None
    if source is not None and source.num_frames == 1:
        photo = as_float(source.resized(*size), source.format)[0]
    groups = [
        _of_group(drawer, weights, candidates, seed, number, min(_GROUP, start + count - number), photo)
        for number in range(first, start + count, _GROUP)
    ]
    noise = np.concatenate(groups) if groups else drawer.noise(seed, 0, 0)
    return noise[start - first :]


def _of_group(
    drawer: Drawer, weights: Any, candidates: int, seed: int, start: int, count: int, photo: np.ndarray | None
) -> np.ndarray:
    noise = drawer.noise(seed, start * candidates, count * candidates)
    drawn = [drawer(weights, noise[i : i + drawer.batch]).images for i in range(0, len(noise), drawer.batch)]
    size = limited(drawer.size, _SIDE)
    small = np.stack([resize(image, *size) for images in drawn for image in images])
    copies = np.zeros(len(small), bool) if photo is None else moved.alike(small, photo) > _COPIED
    return noise[farthest(small.reshape(count, candidates, -1), copies.reshape(count, candidates))]


def farthest(draws: np.ndarray, copies: np.ndarray) -> np.ndarray:
    """Which draw each sample takes: int [n], in 0 to n * candidates - 1, of draws [n, candidates, D].

    Draws that are not finite, and those that `copies`, bool [n, candidates], names, are taken only where all of a
    sample's are.
    """
    chosen: list[int] = []
    nearest = np.full(draws.shape[:2], np.inf)  # of every draw, the squared distance to the nearest sample so far
    for i in range(len(draws)):
        if i:
            last = draws[i - 1, chosen[-1]]
            nearest[i:] = np.minimum(nearest[i:], ((draws[i:] - last) ** 2).sum(axis=-1))
        finite = np.isfinite(draws[i]).all(axis=-1)
        usable = finite & ~copies[i] if (finite & ~copies[i]).any() else finite
        chosen.append(int(np.where(usable, nearest[i], -1.0).argmax()))
    return np.arange(len(draws)) * draws.shape[1] + chosen
