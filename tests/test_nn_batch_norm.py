"""Batch norm against its definition, over shards, and with statistics from outside."""

import jax
import jax.numpy as jnp
import numpy as np

from siv_jax.nn.batch_norm import EPS, STATISTICS, BatchNorm, batch_norm

RNG = np.random.default_rng(0)
X = (3 * RNG.standard_normal((8, 3, 5, 4)) + [0, 1, -2, 10]).astype(np.float32)
SCALE, BIAS = np.float32([1, 0.5, -2, 3]), np.float32([0, 1, 2, -1])
WEIGHTS = np.cos(np.arange(X.size, dtype=np.float32)).reshape(X.shape)


def by_definition(x, scale, bias):
    mean = jnp.mean(x, axis=(0, 1, 2))
    variance = jnp.mean((x - mean) ** 2, axis=(0, 1, 2))
    return (x - mean) / jnp.sqrt(variance + EPS) * scale + bias


def gradients(function):
    return jax.jit(jax.grad(lambda *inputs: jnp.sum(function(*inputs) * WEIGHTS), argnums=(0, 1, 2)))(X, SCALE, BIAS)


def test_values_and_gradients_are_those_of_the_definition():
    np.testing.assert_allclose(batch_norm(X, SCALE, BIAS), by_definition(X, SCALE, BIAS), atol=1e-5)
    for ours, expected in zip(gradients(batch_norm), gradients(by_definition), strict=True):
        np.testing.assert_allclose(ours, expected, atol=2e-5 * np.abs(expected).max())


def test_shards_of_a_batch_share_their_statistics():
    """Values, and gradients of the sum over all shards, are those of the whole batch."""

    def loss(scale, bias, x, weights):
        return jnp.sum(batch_norm(x, scale, bias, "shards") * weights)

    def one(x, weights):
        values = batch_norm(x, SCALE, BIAS, "shards")
        grads = jax.grad(loss, argnums=(2, 0, 1))(SCALE, BIAS, x, weights)
        return values, grads[0], jax.lax.psum(grads[1:], "shards")

    shares = [array.reshape(4, 2, 3, 5, 4) for array in (X, WEIGHTS)]
    values, by_x, by_others = jax.vmap(one, axis_name="shards")(*shares)
    np.testing.assert_allclose(values.reshape(X.shape), batch_norm(X, SCALE, BIAS), atol=1e-5)
    expected = gradients(batch_norm)
    np.testing.assert_allclose(by_x.reshape(X.shape), expected[0], atol=1e-5)
    for ours, theirs in zip(by_others, expected[1:], strict=True):
        np.testing.assert_allclose(ours[0], theirs, atol=2e-5 * np.abs(theirs).max())


def test_given_statistics_make_each_sample_independent():
    module, params = BatchNorm(), {"params": {"scale": SCALE, "bias": BIAS}}
    batch, collected = module.apply(params, X, mutable=[STATISTICS])
    np.testing.assert_allclose(collected[STATISTICS]["mean"], X.mean((0, 1, 2)), atol=1e-5)
    np.testing.assert_allclose(collected[STATISTICS]["square"], (X**2).mean((0, 1, 2)), rtol=1e-5)
    # The batch's own statistics from outside change nothing for the batch, and its samples no longer know each other.
    given = params | collected
    np.testing.assert_allclose(module.apply(given, X), batch, atol=1e-4)
    np.testing.assert_array_equal(module.apply(given, X[2:3]), module.apply(given, X)[2:3])
    assert np.abs(module.apply(params, X[2:3]) - batch[2:3]).max() > 0.1


def test_half_precision_keeps_its_type_and_computes_statistics_in_float32():
    x = jnp.asarray(X + 100, jnp.bfloat16)
    found = batch_norm(x, SCALE, BIAS)
    assert found.dtype == jnp.bfloat16
    expected = by_definition(x.astype(jnp.float32), SCALE, BIAS)
    np.testing.assert_allclose(found.astype(jnp.float32), expected, atol=0.05 * np.abs(expected).max())
