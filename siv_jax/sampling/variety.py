"""Varied samples: each is chosen among several draws, for the photo's colours and to differ from the samples before.

A model of a single picture draws some layouts far more often than others, its picture's own among them, and some draws
have too much of one thing and nothing of another. Choosing among draws costs no training.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from siv_jax.data import Source
from siv_jax.data.resize import limited, resize
from siv_jax.sampling.drawer import Drawer
from siv_jax.sampling.previews import Preview, Previews, TooSmall

# So many samples in a row are chosen to differ from each other; a sample does not depend on those of another group, so
# that any of a million can be drawn alone.
_GROUP = 32
# Of its draws a sample is one of this share whose colours are most like the photo's. By measurement on eight Places
# pictures with eight draws: SIFID .10, .12, .16, .19 with three, four, five and six, LPIPS .389, .408, .416, .420.
_FITTING = 0.5
# A draw counts as a copy when more than this share of its preview is the picture moved as a whole. Of 1,000 draws of
# models of photos all 29 whose full renderings were near copies had more than .6, and one in seven of all draws had.
# But with .6 three of 480 chosen samples were near copies, with shares of .48 to .58, and with .55 none.
_COPIED = 0.55
# A sample differs from the photo, too: half as much as from other samples will do, in squares a quarter. By measurement
# samples then are farther from the photo (.269 instead of .260) for the same SIFID and LPIPS.
_FROM_PHOTO = 4.0
# Draws without previews are compared at this many pixels of the longer side.
_SIDE = 32

Previewer = Callable[[np.ndarray, np.ndarray], Preview]  # from a drawn image and its latents


def latents(
    drawer: Drawer, weights: Any, candidates: int, seed: int, start: int, count: int, preview: Previewer | None = None
) -> np.ndarray:
    """Noise of samples number `start` to `start + count` of `seed`, each chosen among draws of its own.

    Sample i is one of draws number i * candidates on of the seed. Of these the ones whose previews have most nearly the
    photo's colours are kept, without those that are its copies, and the one is taken whose nearest sample of the group
    so far, or the photo, is farthest away. Without `preview` any draw will do, and draws are compared as they are.
    float32 [count, ...].
    """
    if candidates == 1 or not count:
        return drawer.noise(seed, start, count)
    return np.concatenate(list(in_groups(drawer, weights, candidates, seed, start, count, preview)))


def in_groups(
    drawer: Drawer, weights: Any, candidates: int, seed: int, start: int, count: int, preview: Previewer | None = None
) -> Iterator[np.ndarray]:
    """As `latents` for two candidates or more; the noise of one group of samples after another."""
    preview = preview or _as_drawn(drawer)
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for number in range(start - start % _GROUP, start + count, _GROUP):
            many = min(_GROUP, start + count - number)
            noise = drawer.noise(seed, number * candidates, many * candidates)
            previews: list[Preview] = []
            for first in range(0, len(noise), drawer.batch):
                piece = noise[first : first + drawer.batch]
                previews += threads.map(preview, drawer(weights, piece).images, piece)
            yield noise[farthest(previews, candidates)][max(0, start - number) :]


def previewer(drawer: Drawer, source: Source) -> Previewer | None:
    """Previews of what the drawer draws, from the patches of `source`; None: it is too small to have patches."""
    try:
        return Previews(source, drawer.size)
    except TooSmall:
        return None


def _as_drawn(drawer: Drawer) -> Previewer:
    """What draws are compared by where there is nothing to render from: the draws themselves made small."""
    size = limited(drawer.size, _SIDE)
    return lambda image, latents: Preview(resize(image, *size), off=0.0, copied=0.0, apart=np.inf)


def farthest(previews: list[Preview], candidates: int) -> np.ndarray:
    """Which draw each sample takes: int [n], in 0 to n * candidates - 1, of the previews of n * candidates draws.

    Of its fitting draws a sample takes the farthest that is no copy; where all are copies, the most fitting of the
    others that is none; and where there is none, that which is least a copy. Draws that are not finite are passed over.
    """
    pictures = np.stack([preview.picture.ravel() for preview in previews])
    finite = np.isfinite(pictures).all(axis=1)
    off, copied, apart = np.array([(one.off, one.copied, one.apart) for one in previews]).T
    nearest = _FROM_PHOTO * apart  # of every draw, the mean squared difference to the nearest sample so far
    chosen: list[int] = []
    for first in range(0, len(pictures), candidates):
        own = sorted((draw for draw in range(first, first + candidates) if finite[draw]), key=off.__getitem__)
        if not own:
            chosen.append(first)
            continue
        worst = off[own[min(len(own), max(2, round(_FITTING * candidates))) - 1]]
        fitting = sorted((draw for draw in own if off[draw] <= worst), key=lambda draw: -nearest[draw])
        order = [*fitting, *own[len(fitting) :]]
        number = next((draw for draw in order if copied[draw] <= _COPIED), min(order, key=copied.__getitem__))
        chosen.append(number)
        nearest = np.fmin(nearest, ((pictures - pictures[number]) ** 2).mean(axis=1))  # NaN of what is not finite
    return np.array(chosen)
