"""How different the samples of one training image are from one another."""

import math

import numpy as np


def mean_of_pairs(matrix: np.ndarray) -> float:
    """Mean over the unordered pairs of a symmetric [N, N] matrix, N >= 2."""
    return float(matrix[np.triu_indices(len(matrix), 1)].mean(dtype=np.float64))


def gray(images: np.ndarray) -> np.ndarray:
    """float64 [N, H, W] RGB means of uint8 [N, H, W, 3]."""
    return images.mean(axis=-1, dtype=np.float64)


def unbiasing(count: int) -> float:
    """c4(n): the expected standard deviation of n normal samples (ddof 1) over the true one."""
    logs = math.lgamma(count / 2) - math.lgamma((count - 1) / 2)
    return math.sqrt(2 / (count - 1)) * math.exp(logs)


def pixel_map(fakes: np.ndarray) -> np.ndarray:
    """float64 [H, W] standard deviation of each gray pixel over two or more uint8 samples, unbiased by c4."""
    return gray(fakes).std(axis=0, ddof=1) / unbiasing(len(fakes))


def pixel_diversity(fakes: np.ndarray, reals: np.ndarray) -> float | None:
    """Mean of `pixel_map` over the contrast of the training images (sd of their gray values, then the mean).

    None for one sample, and where the training images are of one colour.
    """
    contrast = gray(reals).std(axis=(1, 2)).mean()
    if len(fakes) < 2 or contrast == 0:
        return None
    return float(pixel_map(fakes).mean() / contrast)
