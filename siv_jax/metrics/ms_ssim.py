"""MS-SSIM between all pairs of pictures: five scales, Gaussian windows, per RGB channel."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from siv_jax.metrics.networks import in_batches

_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
_MIDDLE = 127.5  # taken off all values, for accurate float32 variances
_PAIRS = 64  # of pairs in one call


def ms_ssim(images: np.ndarray) -> np.ndarray:
    """float32 [N, N] MS-SSIM of two or more uint8 `images` [N, H, W, 3], 1 on the diagonal."""
    levels = _levels(images.transpose(0, 3, 1, 2))
    rows, columns = np.tril_indices(len(images), -1)
    pairs = np.stack([rows, columns], axis=1).astype(np.int32)
    found = np.eye(len(images), dtype=np.float32)
    values = np.concatenate(list(in_batches(functools.partial(_compare, levels), pairs, _PAIRS)))
    found[rows, columns] = found[columns, rows] = values
    return found


@jax.jit
def _levels(images: jax.Array) -> list[tuple[jax.Array, jax.Array, jax.Array]]:
    """(pictures, local means, local variances) of uint8 [N, C, H, W] at every scale, less _MIDDLE."""
    x = images.astype(jnp.float32) - _MIDDLE
    levels = []
    for scale in range(len(_WEIGHTS)):
        if scale:
            x = _halve(x)
        mean = _blur(x)
        levels.append((x, mean, _blur(x * x) - mean * mean))
    return levels


@jax.jit
def _compare(levels: list, pairs: jax.Array) -> jax.Array:
    def one(pair: jax.Array) -> jax.Array:
        parts = []
        for (x, mean, variance), weight in zip(levels, _WEIGHTS, strict=True):
            (x1, x2), (m1, m2), (v1, v2) = x[pair], mean[pair], variance[pair]
            similarity = (2.0 * (_blur(x1 * x2) - m1 * m2) + _C2) / (v1 + v2 + _C2)
            if weight is _WEIGHTS[-1]:
                m1, m2 = m1 + _MIDDLE, m2 + _MIDDLE
                similarity *= (2.0 * m1 * m2 + _C1) / (m1 * m1 + m2 * m2 + _C1)
            parts.append(jnp.maximum(similarity.mean(axis=(1, 2)), 0.0) ** weight)
        return jnp.prod(jnp.stack(parts), axis=0).mean()

    return jax.lax.map(one, pairs)


def _halve(x: jax.Array) -> jax.Array:
    """Means of 2x2 pixels; an odd side's last row or column stands for its missing neighbour."""
    height, width = x.shape[-2:]
    x = jnp.pad(x, ((0, 0), (0, 0), (0, height % 2), (0, width % 2)), mode="edge")
    return x.reshape(*x.shape[:2], (height + 1) // 2, 2, (width + 1) // 2, 2).mean(axis=(3, 5))


def _blur(x: jax.Array) -> jax.Array:
    """Gaussian means over [..., H, W] of the windows that lie inside. Under 11 pixels the window shrinks.

    As shifted sums, ten times as fast on a CPU as convolutions of one channel.
    """
    size = min(_WINDOW, *x.shape[-2:])
    taps = np.exp(-0.5 * ((np.arange(size) - (size - 1) / 2) / (_SIGMA * size / _WINDOW)) ** 2)
    taps = (taps / taps.sum()).astype(np.float32)
    for axis in (-2, -1):
        inside = x.shape[axis] - size + 1
        x = sum(tap * jax.lax.slice_in_dim(x, i, i + inside, axis=axis) for i, tap in enumerate(taps))
    return x
