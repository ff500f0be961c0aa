"""Frechet distances between the feature statistics of pictures, in float64.

The matrices are small, and BLAS threads waiting for one another took 5 to 10 times the work's own time on two
busy cores: hence one thread.
"""

from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from siv_jax.metrics import inception
from siv_jax.metrics.networks import in_batches


class Moments(NamedTuple):
    """Mean [d] and covariance root.T @ root of `count` feature rows; root [at most d, d], float64."""

    count: int
    mean: np.ndarray
    root: np.ndarray


class Features(NamedTuple):
    """Of N pictures: per block their Moments over positions, and the last block's means over positions."""

    moments: dict[int, list[Moments]]
    pooled: np.ndarray  # [N, 2048], or [N, 0] at sizes without a last block


def moments(rows: np.ndarray) -> Moments:
    """Of feature rows [n, d], n >= 2."""
    rows = rows.astype(np.float64)
    mean = rows.mean(axis=0)
    return Moments(len(rows), mean, _short((rows - mean) / np.sqrt(len(rows) - 1)))


def union(parts: list[Moments]) -> Moments:
    """Moments of all rows of `parts` together."""
    counts = np.array([part.count for part in parts])
    means = np.stack([part.mean for part in parts])
    mean = counts @ means / counts.sum()
    within = [part.root * np.sqrt(part.count - 1) for part in parts]
    between = (means - mean) * np.sqrt(counts)[:, None]
    root = np.concatenate([*within, between]) / np.sqrt(counts.sum() - 1)
    return Moments(int(counts.sum()), mean, _short(root))


def _short(root: np.ndarray) -> np.ndarray:
    return np.linalg.qr(root, mode="r") if root.shape[0] > root.shape[1] else root


def frechet(first: Moments, second: Moments) -> float:
    """Squared Frechet distance of two Gaussians, exact also where the covariances are singular.

    The trace of (C1 C2)^(1/2) is the sum of the singular values of root1 @ root2.T. Rounding below zero is
    taken off.
    """
    shift = np.sum((first.mean - second.mean) ** 2)
    spread = np.sum(first.root**2) + np.sum(second.root**2)
    overlap = np.linalg.svd(first.root @ second.root.T, compute_uv=False).sum()
    return max(0.0, float(shift + spread - 2.0 * overlap))


def features(params: dict, images: np.ndarray) -> Features:
    """Of uint8 `images` [N, H, W, 3], for the blocks that have at least two positions at this size."""
    found, pooled = {}, []
    for batch in in_batches(lambda pictures: inception.features(params, pictures), images):
        for block, maps in batch.items():
            if maps.shape[1] * maps.shape[2] > 1:
                with threadpool_limits(1, "blas"):
                    found.setdefault(block, []).extend(moments(picture.reshape(-1, block)) for picture in maps)
        last = batch.get(inception.BLOCKS[-1], np.zeros((len(batch[64]), 1, 1, 0), np.float32))
        pooled.append(last.mean(axis=(1, 2), dtype=np.float64))
    return Features(found, np.concatenate(pooled))


@threadpool_limits.wrap(1, "blas")
def sifid(fakes: Features, reals: Features) -> dict[int, np.ndarray]:
    """Block -> SIFID float64 [N fakes, M reals] of every fake against every real."""
    return {
        block: np.array([[frechet(fake, real) for real in reals.moments[block]] for fake in found])
        for block, found in fakes.moments.items()
    }


@threadpool_limits.wrap(1, "blas")
def set_fid(fakes: Features, reals: Features) -> dict[str, float]:
    """FID of one set of pictures against another, two pictures or more in each.

    "64", ..., "2048": over all positions of all pictures, as SIFID sees one picture. "pooled": over the last
    block's mean of each picture, as FID is usually meant.
    """
    found = {str(block): frechet(union(of), union(reals.moments[block])) for block, of in fakes.moments.items()}
    if fakes.pooled.size:
        found["pooled"] = frechet(moments(fakes.pooled), moments(reals.pooled))
    return found
