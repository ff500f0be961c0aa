"""The state before the first step, trees as vectors and back, and Adam."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from siv_jax.models.siv_gan.state import (
    Layouts,
    discriminator_shapes,
    generator_shapes,
    init_state,
    make_optimizer,
    optimizer_step,
)

from siv_jax.config import OptimConfig
from siv_jax.models.siv_gan.plan import make_plan
from siv_jax.nn.flat import Layout

CONFIG = tiny.config(model__ch_g=8)
PLAN = make_plan(48, 64, 3, 64, CONFIG.model)


def test_the_start_follows_from_the_seed_alone():
    once, again = init_state(PLAN, CONFIG), init_state(PLAN, CONFIG)
    jax.tree.map(np.testing.assert_array_equal, once, again)
    other = init_state(PLAN, dataclasses.replace(CONFIG, seed=1))
    assert not np.array_equal(other.key, once.key)
    for name in ("params_g", "params_d", "vectors_g", "vectors_d"):
        ours, theirs = getattr(once, name), getattr(other, name)
        assert np.mean(ours == theirs) < 0.2, name


def test_kernels_are_normal_with_std_002_and_biases_zero():
    state = init_state(PLAN, CONFIG)
    for vector, shapes in (
        (state.params_g, generator_shapes(PLAN, CONFIG.model)),
        (state.params_d, discriminator_shapes(PLAN, CONFIG.model)),
    ):
        tree = Layout.of(shapes).split(jnp.asarray(vector))
        leaves = jax.tree_util.tree_leaves_with_path(tree)
        biases = np.concatenate([np.ravel(leaf) for path, leaf in leaves if path[-1].key == "bias"])
        kernels = np.concatenate([np.ravel(leaf) for path, leaf in leaves if path[-1].key == "kernel"])
        assert len(biases) + len(kernels) == len(vector) and not biases.any()
        assert abs(kernels.std() / 0.02 - 1) < 4 / np.sqrt(2 * len(kernels))
        assert abs(kernels.mean()) < 4 * 0.02 / np.sqrt(len(kernels))
        assert abs(np.mean(np.abs(kernels) < 0.02) - 0.6827) < 2 / np.sqrt(len(kernels))


def test_the_average_starts_at_the_weights_in_memory_of_its_own():
    state = init_state(PLAN, CONFIG)
    np.testing.assert_array_equal(state.ema, state.params_g)
    assert not np.shares_memory(state.ema, state.params_g)
    assert int(state.step) == 0 and not any(np.any(leaf) for leaf in jax.tree.leaves((state.opt_g, state.opt_d)))


def test_a_layout_joins_and_splits_any_tree():
    rng = np.random.default_rng(0)
    tree = {"b": {"x": rng.normal(size=(2, 3)).astype(np.float32)}, "a": rng.normal(size=(4,)).astype(np.float32)}
    layout = Layout.of(tree)
    vector = layout.join(tree)
    assert vector.shape == (10,) and layout.sizes == (4, 6)
    jax.tree.map(np.testing.assert_array_equal, layout.split(jnp.asarray(vector)), tree)
    np.testing.assert_array_equal(jax.jit(lambda v: layout.join_traced(layout.split(v)))(vector), vector)
    grad = jax.grad(lambda v: jnp.sum(layout.split(v)["b"]["x"] * tree["b"]["x"]))(jnp.asarray(vector))
    np.testing.assert_array_equal(grad, np.concatenate([np.zeros(4), tree["b"]["x"].ravel()]).astype(np.float32))


def test_layouts_of_spectral_vectors_leave_the_dense_map_out():
    layouts = Layouts.of(generator_shapes(PLAN, CONFIG.model))
    split = layouts.vectors.split(jnp.zeros(sum(layouts.vectors.sizes)))
    assert "dense" not in split and set(split) == set(layouts.params.split(jnp.zeros(sum(layouts.params.sizes)))) - {
        "dense"
    }


@pytest.mark.parametrize("config", [OptimConfig(), OptimConfig(beta1=0.9, beta2=0.99, eps=1e-3)])
def test_adam_is_its_definition(config):
    rng = np.random.default_rng(0)
    params, rate = rng.normal(size=7).astype(np.float32), 0.01
    optimizer = make_optimizer(rate, config)
    update = jax.jit(lambda g, s, p: optimizer_step(optimizer, g, s, p))
    ours, opt_state = params, optimizer.init(params)
    theirs, m, v = np.float64(params), np.zeros(7), np.zeros(7)
    for t in range(1, 6):
        grad = rng.normal(size=7).astype(np.float32)
        ours, opt_state = update(grad, opt_state, ours)
        m = config.beta1 * m + (1 - config.beta1) * grad
        v = config.beta2 * v + (1 - config.beta2) * np.float64(grad) ** 2
        corrected = m / (1 - config.beta1**t), v / (1 - config.beta2**t)
        theirs = theirs - rate * corrected[0] / (np.sqrt(corrected[1]) + config.eps)
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-6)
