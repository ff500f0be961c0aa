"""Normalisation of single pictures against its definition, through three derivatives."""

import jax
import jax.numpy as jnp
import numpy as np

from siv_jax.nn.picture_norm import EPSILON, moments, normalised


def by_definition(x, scale, shift):
    mean = jnp.mean(x, (1, 2), keepdims=True)
    variance = jnp.mean(jnp.square(x - mean), (1, 2), keepdims=True)
    return (x - mean) / jnp.sqrt(variance + EPSILON) * scale + shift


def inputs():
    rng = np.random.default_rng(0)
    # The last channel hardly varies: there the small constant counts.
    x = rng.standard_normal((2, 3, 5, 4)) * [1, 2, 0.5, 2e-3] + [0, 1, -2, 10]
    return tuple(map(jnp.asarray, (x, [1, 0.5, -2, 3.0], [0, 1, 2, -1.0])))


def derivatives(norm):
    """The values, their gradients, and those of two more weighted sums of gradients."""

    rng = np.random.default_rng(1)
    wanted = [norm, jax.grad(lambda *given: jnp.sum(jnp.tanh(norm(*given))), (0, 1, 2))]
    for _ in range(2):
        weights = [jnp.asarray(rng.standard_normal(value.shape)) for value in inputs()]
        wanted.append(jax.grad(weighted(wanted[-1], weights), (0, 1, 2)))
    return jax.tree.leaves(jax.jit(lambda *given: [function(*given) for function in wanted])(*inputs()))


def weighted(function, weights):
    return lambda *given: sum(jnp.sum(value * weight) for value, weight in zip(function(*given), weights, strict=True))


def test_values_and_three_derivatives_are_those_of_the_definition():
    with jax.enable_x64(True):
        for found, expected in zip(derivatives(normalised), derivatives(by_definition), strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-9 * np.abs(expected).max())


def test_statistics_are_of_each_picture():
    x = np.asarray(inputs()[0], np.float32)
    mean, variance = moments(jnp.asarray(x))
    np.testing.assert_allclose(mean[:, 0, 0], x.mean((1, 2)), rtol=1e-6)
    np.testing.assert_allclose(variance[:, 0, 0], x.var((1, 2)), rtol=1e-4)
