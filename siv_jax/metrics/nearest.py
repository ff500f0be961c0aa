"""Distance to train: LPIPS from each sample to the nearest augmented training image."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from siv_jax.metrics.lpips import distances
from siv_jax.metrics.networks import MOST, in_batches
from siv_jax.nn import image_augment

VIEWS = 256  # augmented copies over all training images
LEAST_VIEWS = 4  # augmented copies of one training image
PROBABILITY = 0.7  # of each geometric transform, as the published models train
COPY_CROP = 0.95  # share of both sides that the copy shows which near copies are measured by

Embed = Callable[[np.ndarray], np.ndarray]


class Nearest(NamedTuple):
    """Of N samples: LPIPS distance [N] to the nearest view, its training image [N], and the view itself.

    plain: [N] whether that view is the training image as it is.
    views: uint8 [N, H, W, 3].
    """

    distance: np.ndarray
    image: np.ndarray
    plain: np.ndarray
    views: np.ndarray


def nearest(fakes: np.ndarray, reals: np.ndarray, seed: int, embed: Embed) -> Nearest:
    """The nearest view of each sample among the training images, plain and augmented as in training.

    Args:
      fakes: LPIPS vectors [N, D] of the samples.
      reals: uint8 [M, H, W, 3] training images.
      seed: of the transforms. Every image has the same ones, max(LEAST_VIEWS, VIEWS // M) of them.
      embed: LPIPS vectors of uint8 images.
    """
    height, width = reals.shape[1:3]
    count = max(LEAST_VIEWS, VIEWS // len(reals))
    uniform = np.random.default_rng(seed).random((count, image_augment.UNIFORMS), np.float32)
    maps = np.concatenate([image_augment.identity(1), image_augment.draw(uniform, PROBABILITY, height, width)])
    best = np.full(len(fakes), np.inf, np.float32)
    origin = np.zeros((len(fakes), 2), np.int64)  # training image, map
    views = np.zeros((len(fakes), *reals.shape[1:]), np.uint8)
    for number, real in enumerate(reals):
        repeated, start = np.repeat(real[None], MOST, axis=0), 0
        for seen in in_batches(functools.partial(warp, repeated), maps, MOST):
            found = distances(fakes, embed(seen))
            column = found.argmin(axis=1)
            lowest = found[np.arange(len(fakes)), column]
            closer = lowest < best
            best[closer] = lowest[closer]
            origin[closer] = np.stack([np.full(len(fakes), number), start + column], axis=1)[closer]
            views[closer] = seen[column[closer]]
            start += len(seen)
    return Nearest(best, origin[:, 0], origin[:, 1] == 0, views)


def copy_threshold(reals: np.ndarray, embed: Embed) -> float:
    """Distance up to which a sample counts as a near copy of a training image.

    Calibrated at the evaluation's own size and pictures: the mean LPIPS of a training image to its copy that
    shows the central COPY_CROP of both sides at full size. On photos of 250x188 that is .09, where a shift by
    two pixels is .05, noise of sd 5/255 .04, JPEG of quality 80 .005, a shift by eight pixels .11.
    """
    crop = np.array([[[COPY_CROP, 0.0, 0.0], [0.0, COPY_CROP, 0.0]]], np.float32)
    found = []
    for real in reals:
        pair = embed(np.stack([real, warp(real[None], crop)[0]]))
        found.append(distances(pair[:1], pair[1:])[0, 0])
    return float(np.mean(found))


@jax.jit
def warp(images: np.ndarray, maps: np.ndarray) -> jax.Array:
    """uint8 `images` [N, H, W, 3] seen through `maps` [N, 2, 3], uint8."""
    seen = image_augment.warp(images.astype(jnp.float32), maps)
    return jnp.round(jnp.clip(seen, 0.0, 255.0)).astype(jnp.uint8)
