"""Flat vectors, Adam, the average of weights, and the choice of frames."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from siv_jax.nn import adam, flat
from siv_jax.nn.ema import ema_decay, updated
from siv_jax.nn.frames import choose_frames, to_float


def test_a_tree_becomes_a_vector_and_comes_back():
    rng = np.random.default_rng(0)
    tree = {"b": {"x": rng.normal(size=(2, 3)).astype(np.float32)}, "a": rng.normal(size=(4,)).astype(np.float32)}
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), tree)
    vector, unravel = flat.joined(tree), flat.unraveller(shapes)
    assert vector.shape == (10,) == (flat.size(tree),) == (flat.size(shapes),)
    jax.tree.map(np.testing.assert_array_equal, unravel(jnp.asarray(vector)), tree)
    np.testing.assert_array_equal(flat.joined(jax.jit(unravel)(vector)), vector)
    grad = jax.grad(lambda v: jnp.sum(unravel(v)["b"]["x"] * tree["b"]["x"]))(jnp.asarray(vector))
    np.testing.assert_array_equal(grad, np.concatenate([np.zeros(4), tree["b"]["x"].ravel()]).astype(np.float32))


@pytest.mark.parametrize("beta1, beta2, eps", [(0.5, 0.999, 1e-8), (0.9, 0.99, 1e-3)])
def test_adam_is_its_definition(beta1, beta2, eps):
    rng = np.random.default_rng(0)
    params, rate = rng.normal(size=7).astype(np.float32), 0.01
    optimizer = adam.make_optimizer(rate, beta1, beta2, eps)
    update = jax.jit(lambda g, s, p: adam.optimizer_step(optimizer, g, s, p))
    ours, opt_state = params, adam.initial(optimizer, params)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(opt_state))
    theirs, m, v = np.float64(params), np.zeros(7), np.zeros(7)
    for t in range(1, 6):
        grad = rng.normal(size=7).astype(np.float32)
        ours, opt_state = update(grad, opt_state, ours)
        m = beta1 * m + (1 - beta1) * grad
        v = beta2 * v + (1 - beta2) * np.float64(grad) ** 2
        corrected = m / (1 - beta1**t), v / (1 - beta2**t)
        theirs = theirs - rate * corrected[0] / (np.sqrt(corrected[1]) + eps)
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-6)


def test_the_decay_of_the_average_warms_up():
    for t, expected in ((0, 0.1), (1, 2 / 11), (8, 0.5), (90, 0.91)):
        assert abs(float(ema_decay(jnp.int32(t), 0.9999, True)) - expected) < 1e-6
    assert abs(float(ema_decay(jnp.int32(10**8), 0.9999, True)) - 0.9999) < 1e-6
    assert abs(float(ema_decay(jnp.int32(0), 0.9999, False)) - 0.9999) < 1e-7


def test_the_average_moves_by_one_minus_its_decay():
    average, params = ({"a": np.full(3, value, np.float32)} for value in (2.0, -1.0))
    np.testing.assert_allclose(updated(average, params, jnp.float32(0.75))["a"], 0.75 * 2.0 - 0.25, rtol=1e-6)


def test_frames_are_taken_in_the_drawn_order_each_once():
    frames = jnp.arange(6.0)[:, None, None, None] * jnp.ones((1, 2, 2, 3))
    order = jnp.array([0.5, 0.1, 0.9, 0.3, 0.2, 0.7])
    chosen = np.asarray(choose_frames(order, frames, 4))[:, 0, 0, 0]
    np.testing.assert_array_equal(chosen, [1, 4, 3, 0])
    assert sorted(np.asarray(choose_frames(order, frames, 6))[:, 0, 0, 0]) == list(range(6))
    few = np.asarray(choose_frames(order[:2], frames[:2], 5))[:, 0, 0, 0]
    np.testing.assert_array_equal(few, [1, 0, 1, 0, 1])
    assert choose_frames(order[:1], frames[:1], 3).shape == (3, 2, 2, 3)


def test_bytes_become_minus_one_to_one():
    values = to_float(jnp.arange(256, dtype=jnp.uint8))
    np.testing.assert_allclose(values, np.linspace(-1, 1, 256), atol=1e-6)
    floats = jnp.array([-0.3, 0.7])
    assert to_float(floats) is floats
