"""95% intervals by resampling the samples, or the training images of a fleet, with replacement."""

import numpy as np

RESAMPLES = 1000
SMALLEST_COUNT = 5  # fewer values say too little about their own spread

Interval = tuple[float, float] | None


def counts(count: int, seed: int) -> np.ndarray:
    """int [RESAMPLES, count]: how often each of `count` items is in each resample."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(count, np.full(count, 1 / count), size=RESAMPLES)


def of_mean(values: np.ndarray, seed: int) -> Interval:
    """Of the mean of `values` [N]."""
    if len(values) < SMALLEST_COUNT:
        return None
    return _interval(counts(len(values), seed) @ values.astype(np.float64) / len(values))


def of_pairs(matrix: np.ndarray, seed: int) -> Interval:
    """Of the mean over pairs of a symmetric [N, N] matrix.

    A sample drawn twice makes no pair with itself: such pairs would pull the mean towards no diversity.
    """
    count = len(matrix)
    if count < SMALLEST_COUNT:
        return None
    weights = counts(count, seed).astype(np.float64)
    off_diagonal = matrix * (1 - np.eye(count))
    sums = np.einsum("ri,ri->r", weights @ off_diagonal, weights)
    return _interval(sums / (count**2 - (weights**2).sum(axis=1)))


def of_deviation(values: np.ndarray, seed: int) -> Interval:
    """Of the mean over [P] of the standard deviation of `values` [N, P] over N, as multiples of that mean.

    Resamples hold copies, which shrink their variance by (N - 1) / N on average: that is undone.
    """
    count = len(values)
    if count < SMALLEST_COUNT:
        return None
    centred = (values - values.mean(axis=0)).astype(np.float32)
    whole = centred.std(axis=0).mean(dtype=np.float64)
    if whole == 0:
        return None
    means = []
    for weights in np.array_split(counts(count, seed).astype(np.float32), RESAMPLES // 50):
        variance = weights @ centred**2 / count - (weights @ centred / count) ** 2
        means.append(np.sqrt(np.maximum(variance, 0)).mean(axis=1, dtype=np.float64))
    return _interval(np.concatenate(means) / whole * np.sqrt(count / (count - 1)))


def _interval(statistics: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(statistics, (0.025, 0.975))
    return float(low), float(high)
