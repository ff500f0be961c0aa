"""Varied samples: each is the one of several draws that differs most from the samples before it.

A model of a single picture draws some layouts far more often than others, its picture's own among them. Choosing among
draws costs no training.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from siv_jax.data import Source
from siv_jax.data.resize import limited, resize
from siv_jax.errors import UserError
from siv_jax.patches import moved
from siv_jax.patches.render import Renderer
from siv_jax.sampling import rendering
from siv_jax.sampling.drawer import Drawer

# So many samples in a row are chosen to differ from each other; a sample does not depend on those of another group, so
# that any of a million can be drawn alone.
_GROUP = 32
# Samples are compared at this many pixels of the longer side.
_SIDE = 32
# Geometric mean of the sides of the small rendering that tells copies, and longer side of the photo that it is made of
# at most: as sharp as that of other renderings, or other copies would be told.
_RENDERED = 36.0
_PHOTO = 256
# A draw counts as a copy when more than this share of its small rendering is the picture moved as a whole. On models of
# photos almost all draws whose full renderings were near copies had more than .66 of it, half of the others under .6.
_COPIED = 0.65

Copied = Callable[[int], float]  # the share of a draw that is the picture, by its number


def draws_of(candidates: int) -> int:
    """How many draws of its own a sample has: the candidates, and as many for where all of these are copies."""
    return 1 if candidates == 1 else 2 * candidates


def latents(
    drawer: Drawer, weights: Any, candidates: int, seed: int, start: int, count: int, source: Source | None = None
) -> np.ndarray:
    """Noise of samples number `start` to `start + count` of `seed`, each chosen among draws of its own.

    Sample i is one of draws number i * draws_of(candidates) on of the seed: the first one of the first sample of a
    group, and then the one whose nearest sample of the group so far is farthest away. Draws that become copies of the
    picture in `source` when they are rendered are passed over; of a clip there is none to copy. float32 [count, ...].
    """
    if candidates == 1:
        return drawer.noise(seed, start, count)
    groups = list(in_groups(drawer, weights, candidates, seed, start, count, source))
    return np.concatenate(groups) if groups else drawer.noise(seed, 0, 0)


def in_groups(
    drawer: Drawer, weights: Any, candidates: int, seed: int, start: int, count: int, source: Source | None = None
) -> Iterator[np.ndarray]:
    """As `latents` for two candidates or more; the noise of one group of samples after another."""
    share = _share_of_copy(drawer, source)
    for number in range(start - start % _GROUP, start + count, _GROUP):
        noise = _of_group(drawer, weights, candidates, seed, number, min(_GROUP, start + count - number), share)
        yield noise[max(0, start - number) :]


def _share_of_copy(drawer: Drawer, source: Source | None) -> Callable[[np.ndarray], float]:
    """Of a drawn image [h, w, C], the share that is the picture; 0 where there is none, or one too small to render."""
    if source is None or source.num_frames != 1:
        return lambda image: 0.0
    scale = _RENDERED / (source.size[0] * source.size[1]) ** 0.5
    size = tuple(max(8, round(scale * side)) for side in source.size)
    try:
        photo = rendering.as_float(source.resized(*limited(source.size, _PHOTO)), source.format)
        renderer = Renderer(photo, size, rough_size=drawer.size)
    except UserError:
        return lambda image: 0.0
    return lambda image: moved.share(renderer.matches(image[None])[0])


def _of_group(
    drawer: Drawer,
    weights: Any,
    candidates: int,
    seed: int,
    start: int,
    count: int,
    share: Callable[[np.ndarray], float],
) -> np.ndarray:
    of_each = draws_of(candidates)
    noise = drawer.noise(seed, start * of_each, count * of_each)
    drawn = drawer(weights, noise).images
    size = limited(drawer.size, _SIDE)
    small = np.stack([resize(image, *size) for image in drawn])
    return noise[farthest(small.reshape(count, of_each, -1), candidates, lambda number: share(drawn[number]))]


def farthest(draws: np.ndarray, candidates: int, copied: Copied) -> np.ndarray:
    """Which draw each sample takes: int [n], in 0 to n * m - 1, of draws [n, m, D].

    Of the first `candidates` of its draws a sample takes the farthest that is finite and no copy; of the others, where
    there is none; and where there is none again, that of all which is least a copy.
    """
    chosen: list[int] = []
    count, of_each = draws.shape[:2]
    nearest = np.full((count, of_each), np.inf)  # of every draw, the squared distance to the nearest sample so far
    for i in range(count):
        if i:
            distances = ((draws[i:] - draws[i - 1, chosen[-1]]) ** 2).sum(axis=-1)
            nearest[i:] = np.fmin(nearest[i:], distances)  # none from what is not finite
        finite = np.isfinite(draws[i]).all(axis=-1)
        order = [*_farthest_first(nearest[i, :candidates]), *(candidates + _farthest_first(nearest[i, candidates:]))]
        chosen.append(_first_good([j for j in order if finite[j]], lambda j, i=i: copied(i * of_each + j)))
    return np.arange(count) * of_each + chosen


def _farthest_first(distances: np.ndarray) -> np.ndarray:
    return np.argsort(-distances, kind="stable")


def _first_good(order: list[int], copied: Copied) -> int:
    """The first in `order` that is no copy, or the one that is least; 0 of none."""
    shares = {}
    for number in order:
        shares[number] = copied(number)
        if shares[number] <= _COPIED:
            return number
    return min(shares, key=shares.get, default=0)
