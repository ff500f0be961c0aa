"""95% intervals by resampling the samples, or the training images of a fleet, with replacement."""

from collections.abc import Callable

import numpy as np

RESAMPLES = 1000
SMALLEST_COUNT = 5  # fewer values say too little about their own spread

Interval = tuple[float, float] | None


def of_mean(values: np.ndarray, seed: int) -> Interval:
    """Of the mean of `values` [N]."""
    return _interval(len(values), seed, lambda counts: counts @ values / len(values))


def of_pairs(matrix: np.ndarray, seed: int) -> Interval:
    """Of the mean over pairs of a symmetric [N, N] matrix.

    A sample drawn twice makes no pair with itself: such pairs would pull the mean towards no diversity.
    """
    count = len(matrix)
    off_diagonal = matrix * (1 - np.eye(count))

    def mean(counts: np.ndarray) -> np.ndarray:
        return ((counts @ off_diagonal) * counts).sum(axis=1) / (count**2 - (counts**2).sum(axis=1))

    return _interval(count, seed, mean)


def of_deviation(values: np.ndarray, seed: int) -> Interval:
    """Of the mean over [P] of the standard deviation of `values` [N, P] over N, as multiples of that mean.

    Resamples hold copies, which shrink their variance by (N - 1) / N on average: that is undone.
    """
    count = len(values)
    centred = (values - values.mean(axis=0)).astype(np.float32)
    squares = centred**2
    whole = centred.std(axis=0).mean(dtype=np.float64)

    def share(counts: np.ndarray) -> np.ndarray:
        counts = counts.astype(np.float32)
        variance = counts @ squares / count - (counts @ centred / count) ** 2
        return np.sqrt(np.maximum(variance, 0) * count / (count - 1)).mean(axis=1, dtype=np.float64) / whole

    return _interval(count, seed, share) if whole else None


def _interval(count: int, seed: int, statistic: Callable[[np.ndarray], np.ndarray]) -> Interval:
    """Of a statistic of `count` items, given float64 [B, count] how often each of them is in each of B resamples.

    scipy resamples the items' numbers, so that everything about a picture, such as its pairs, comes along with it.
    """
    if count < SMALLEST_COUNT:
        return None

    def of_numbers(numbers: np.ndarray, axis: int) -> np.ndarray:
        counts = np.apply_along_axis(np.bincount, -1, np.atleast_2d(numbers), minlength=count)
        return statistic(counts.astype(np.float64)).reshape(numbers.shape[:-1])

    from scipy import stats  # takes a second to import, which commands that measure nothing do without

    found = stats.bootstrap(
        (np.arange(count),), of_numbers, n_resamples=RESAMPLES, batch=50, method="percentile", rng=seed
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)
