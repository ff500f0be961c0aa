"""The bicubic resize of features."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from siv_jax.nn import bicubic_resize

RNG = np.random.default_rng(0)


def naive(x: np.ndarray, out: int) -> np.ndarray:
    """One axis by the definition: Keys' cubic of a = -0.75, corners in place, indices held within the array."""
    result = np.zeros((out, *x.shape[1:]))
    for j in range(out):
        place = j * (len(x) - 1) / (out - 1) if out > 1 else 0.0
        for tap in range(int(np.floor(place)) - 1, int(np.floor(place)) + 3):
            t = abs(place - tap)
            inner, outer = 1.25 * t**3 - 2.25 * t**2 + 1, -0.75 * t**3 + 3.75 * t**2 - 6 * t + 3
            result[j] += (inner if t <= 1 else outer if t < 2 else 0.0) * x[min(max(tap, 0), len(x) - 1)]
    return result


@pytest.mark.parametrize("size", [(5, 9), (11, 3), (7, 6), (1, 1), (20, 20)])
def test_it_follows_the_definition(size):
    x = RNG.standard_normal((2, 7, 6, 3)).astype(np.float32)
    expected = naive(x.transpose(1, 0, 2, 3), size[0]).transpose(1, 0, 2, 3)
    expected = naive(expected.transpose(2, 1, 0, 3), size[1]).transpose(2, 1, 0, 3)
    np.testing.assert_allclose(bicubic_resize.resize(jnp.asarray(x), size), expected, atol=1e-5)


def test_corners_and_constants_stay():
    x = RNG.standard_normal((1, 6, 8, 2)).astype(np.float32)
    large = np.asarray(bicubic_resize.resize(jnp.asarray(x), (17, 23)))
    np.testing.assert_allclose(
        large[:, [0, 0, -1, -1], [0, -1, 0, -1]], x[:, [0, 0, -1, -1], [0, -1, 0, -1]], atol=1e-6
    )
    np.testing.assert_allclose(bicubic_resize.weights(9, 31).sum(axis=1), 1, atol=1e-12)
    assert bicubic_resize.resize(x, (6, 8)) is x


def test_its_gradient_is_the_transposed_map():
    x = jnp.asarray(RNG.standard_normal((1, 5, 4, 1)), jnp.float32)
    y, pull = jax.vjp(lambda x: bicubic_resize.resize(x, (9, 7)), x)
    cotangent = jnp.asarray(RNG.standard_normal(y.shape), jnp.float32)
    np.testing.assert_allclose(jnp.vdot(y, cotangent), jnp.vdot(x, pull(cotangent)[0]), rtol=1e-4)
