"""One training step: whose gradients go where, what is drawn, and the average of the weights."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_trainer
from siv_jax.models.siv_gan.state import (
    discriminator_shapes,
    generator_shapes,
    init_state,
    make_optimizer,
    optimizer_step,
)

from siv_jax.models.siv_gan import step
from siv_jax.nn.flat import Layout


@pytest.fixture(scope="module")
def tiny() -> tiny_trainer.Tiny:
    return tiny_trainer.compiled()


def assert_same(ours, theirs):
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


def draws_of(tiny, state):
    key = jax.random.fold_in(jax.random.wrap_key_data(jnp.asarray(state.key), impl="threefry2x32"), state.step)
    return jax.jit(lambda key: step.draw(key, tiny.plan, tiny.config, len(tiny.frames)))(key)


def test_each_players_turn_moves_that_player_alone(tiny):
    """The step is Adam on G's loss for G, then on D's loss for D, though each loss has a gradient for the other too."""
    config, start = tiny.config, tiny.start()
    players = step.Players(tiny.plan, config, jnp.float32)
    draws = draws_of(tiny, start)

    def turns(start, draws, frames):
        vectors_g = players.power_step_g(start.params_g, start.vectors_g)
        vectors_d = players.power_step_d(start.params_d, start.vectors_d)
        both_g, _ = jax.grad(players.generator_objective, argnums=(0, 1), has_aux=True)(
            start.params_g, start.params_d, vectors_g, vectors_d, draws
        )
        optimizer = make_optimizer(config.optim.lr_g, config.optim)
        params_g, _ = optimizer_step(optimizer, both_g[0], start.opt_g, start.params_g)
        reals = step.to_float(step.choose_frames(draws.frames, frames, config.batch_size))
        both_d, _ = jax.grad(players.discriminator_objective, argnums=(0, 1), has_aux=True)(
            start.params_d, params_g, vectors_g, vectors_d, reals, draws
        )
        return both_g, both_d, (vectors_g, vectors_d)

    (g_of_g, d_of_g), (d_of_d, g_of_d), vectors = jax.jit(turns)(start, draws, tiny.frames)
    after, _ = tiny.advance(start, 1)
    for state, own, leaked in ((after.opt_g, g_of_g, g_of_d), (after.opt_d, d_of_d, d_of_g)):
        # Adam's first moment starts at zero and is then (1 - beta1) times the gradient that was applied.
        applied = np.asarray(state[0].mu) / (1 - config.optim.beta1)
        assert np.linalg.norm(applied - own) < 1e-4 * np.linalg.norm(own)
        assert np.linalg.norm(leaked) > 1e-3 * np.linalg.norm(own)
        assert int(state[0].count) == 1
    for ours, theirs in zip((after.vectors_g, after.vectors_d), vectors, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert int(after.step) == 1
    np.testing.assert_array_equal(after.key, start.key)


def test_a_step_depends_on_its_key_and_number_alone(tiny):
    once, metrics = tiny.advance(tiny.start(), 1)
    again, same = tiny.advance(tiny.start(), 1)
    assert_same(once, again)
    assert metrics == same
    for changed in ({"step": np.int32(1)}, {"key": np.array([0, 1], np.uint32)}):
        _, other = tiny.advance(dataclasses.replace(tiny.start(), **{k: np.asarray(v) for k, v in changed.items()}), 1)
        assert other["loss_g"] != metrics["loss_g"] and other["diversity"] != metrics["diversity"]


@pytest.mark.parametrize("branches", ["both", "content", "layout", "none"])
def test_names_of_the_metrics_are_known_without_a_step(tiny, branches):
    config = dataclasses.replace(tiny.config, model=dataclasses.replace(tiny.config.model, branches=branches))
    shapes = jax.eval_shape(step.make_train_step(tiny.plan, config), init_state(tiny.plan, config), tiny.frames)
    assert sorted(step.metric_names(config)) == sorted(shapes[1])


def test_how_a_run_is_cut_into_calls_does_not_matter(tiny):
    whole, sums = tiny.advance(tiny.start(), 6)
    for cut in ((1, 1, 1, 1, 1, 1), (3, 3), (5, 1)):
        pieces, parts = tiny.advance(tiny.start(), *cut)
        assert_same(pieces, whole)
        assert parts == sums


def test_a_call_of_no_steps_changes_nothing(tiny):
    state, sums = tiny.advance(tiny.start(), 0)
    assert_same(state, tiny.start())
    assert not any(sums.values())


def test_draws_have_their_shapes_and_laws_and_differ_between_steps(tiny):
    config = dataclasses.replace(tiny.config, batch_size=64)
    drawn = [
        jax.jit(lambda key: step.draw(key, tiny.plan, config, 50))(jax.random.fold_in(jax.random.key(0), i))
        for i in range(2)
    ]
    for field in dataclasses.fields(step.Draws):
        ours, theirs = (np.asarray(getattr(draws, field.name)) for draws in drawn)
        assert not np.any(ours == theirs), field.name
        if field.name.startswith("z_"):
            assert abs(ours.mean()) < 0.2 and abs(ours.std() - 1) < 0.15 and np.abs(ours).max() > 2
        else:
            assert ours.min() >= 0 and ours.max() < 1 and abs(ours.mean() - 0.5) < 0.2
    shapes = {field.name: getattr(drawn[0], field.name).shape for field in dataclasses.fields(step.Draws)}
    assert shapes["warp_d"][0] == 2 * shapes["warp_g"][0] == 128, "reals and fakes are warped each by their own"
    first, second = np.asarray(drawn[0].z_g), np.asarray(drawn[0].z_d)
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.2, "each turn has latents of its own"


def test_the_average_warms_up_and_follows_its_decay(tiny):
    for t, expected in ((0, 0.1), (1, 2 / 11), (8, 0.5), (90, 0.91)):
        assert abs(float(step.ema_decay(jnp.int32(t), 0.9999, True)) - expected) < 1e-6
    assert abs(float(step.ema_decay(jnp.int32(10**8), 0.9999, True)) - 0.9999) < 1e-6
    assert abs(float(step.ema_decay(jnp.int32(0), 0.9999, False)) - 0.9999) < 1e-7
    state = tiny.start()
    average = np.float64(state.ema)
    for t in range(4):
        state, _ = tiny.advance(state, 1)
        decay = (1 + t) / (10 + t)
        average = decay * average + (1 - decay) * np.float64(state.params_g)
        np.testing.assert_allclose(state.ema, average, rtol=0, atol=2e-7)


def test_heads_that_the_discriminator_does_not_read_never_change(tiny):
    """Its low-level blocks see the finest scales alone (as run, the coarser heads never train)."""
    layout = Layout.of(generator_shapes(tiny.plan, tiny.config.model))
    after, _ = tiny.advance(tiny.start(), 5)
    before, trained = (layout.split(jnp.asarray(state.params_g)) for state in (tiny.start(), after))
    read = tiny.plan.num_blocks_g - tiny.plan.num_blocks_low_level
    for i in range(tiny.plan.num_blocks_g):
        name = f"to_image_{i}"
        if i < read:
            assert_same(trained[name], before[name])
        else:
            assert np.all(trained[name]["kernel"] != before[name]["kernel"])
    for i in range(tiny.plan.num_blocks_g):
        assert np.any(trained[f"block_{i}"]["conv1"]["kernel"] != before[f"block_{i}"]["conv1"]["kernel"])


def test_single_elements_of_the_discriminator_keep_their_value(tiny):
    shapes = discriminator_shapes(tiny.plan, tiny.config.model)
    single = [
        path
        for path, leaf in jax.tree_util.tree_leaves_with_path(shapes)
        if path[-1].key == "kernel" and leaf.size == 1
    ]
    assert single, "the layout branch has kernels of one element"
    layout = Layout.of(shapes)
    after, _ = tiny.advance(tiny.start(), 5)
    before, trained = (layout.split(jnp.asarray(state.params_d)) for state in (tiny.start(), after))
    for path in single:
        for key in path:
            before, trained = before[key.key], trained[key.key]
        np.testing.assert_array_equal(before, trained)
        before, trained = (layout.split(jnp.asarray(state.params_d)) for state in (tiny.start(), after))


@pytest.mark.parametrize("name", ["params_g", "params_d"])
def test_a_loss_that_is_not_finite_is_noted(tiny, name):
    _, sums = tiny.advance(tiny.start(), 3)
    assert sums["finite"] == 3
    broken = tiny.start()
    getattr(broken, name)[:] = np.nan
    _, sums = tiny.advance(broken, 3)
    assert sums["finite"] == 0


def test_nan_in_a_frame_shows_in_the_discriminators_loss(tiny):
    players = step.Players(tiny.plan, tiny.config, jnp.float32)
    state, draws = tiny.start(), draws_of(tiny, tiny.start())

    @jax.jit
    def loss(frames):
        reals = step.to_float(step.choose_frames(draws.frames, frames, tiny.config.batch_size))
        vectors = state.vectors_g, state.vectors_d
        return players.discriminator_objective(state.params_d, state.params_g, *vectors, reals, draws)[0]

    frames = np.full(tiny.frames.shape, 0.25, np.float32)
    assert np.isfinite(loss(frames))
    frames[0, 20, 30, 1] = np.nan
    assert not np.isfinite(loss(frames))


def test_frames_are_taken_in_the_drawn_order_each_once():
    frames = jnp.arange(6.0)[:, None, None, None] * jnp.ones((1, 2, 2, 3))
    order = jnp.array([0.5, 0.1, 0.9, 0.3, 0.2, 0.7])
    chosen = np.asarray(step.choose_frames(order, frames, 4))[:, 0, 0, 0]
    np.testing.assert_array_equal(chosen, [1, 4, 3, 0])
    assert sorted(np.asarray(step.choose_frames(order, frames, 6))[:, 0, 0, 0]) == list(range(6))
    few = np.asarray(step.choose_frames(order[:2], frames[:2], 5))[:, 0, 0, 0]
    np.testing.assert_array_equal(few, [1, 0, 1, 0, 1])
    assert step.choose_frames(order[:1], frames[:1], 3).shape == (3, 2, 2, 3)


def test_bytes_become_minus_one_to_one():
    values = step.to_float(jnp.arange(256, dtype=jnp.uint8))
    np.testing.assert_allclose(values, np.linspace(-1, 1, 256), atol=1e-6)
    floats = jnp.array([-0.3, 0.7])
    assert step.to_float(floats) is floats


def test_the_pyramid_halves_by_means_of_four():
    images = np.random.default_rng(0).normal(size=(2, 16, 24, 3)).astype(np.float32)
    scales = step.pyramid(jnp.asarray(images), 3)
    assert [scale.shape[1:3] for scale in scales] == [(4, 6), (8, 12), (16, 24)]
    np.testing.assert_allclose(scales[1], images.reshape(2, 8, 2, 12, 2, 3).mean((2, 4)), atol=1e-6)
    np.testing.assert_allclose(scales[0], images.reshape(2, 4, 4, 6, 4, 3).mean((2, 4)), atol=1e-6)
