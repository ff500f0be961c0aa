"""The state before the first step, and one step: whose gradients go where, what is drawn, and the average."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_trainer

from siv_jax.models.registry import get
from siv_jax.models.siv_gan import step
from siv_jax.models.siv_gan.objectives import Draws, Players
from siv_jax.nn import adam, flat
from siv_jax.nn.frames import choose_frames, to_float
from siv_jax.nn.two_branch.objectives import pyramid
from siv_jax.train.devices import compiler_options


@pytest.fixture(scope="module")
def tiny() -> tiny_trainer.Tiny:
    return tiny_trainer.compiled()


@pytest.fixture(scope="module")
def players(tiny) -> Players:
    return Players(tiny.plan, tiny.config, jnp.float32)


def assert_same(ours, theirs):
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


def split(network, vector) -> dict:
    """Parameters as a tree."""
    return flat.unraveller(network.shapes)(jnp.asarray(vector))


def draws_of(tiny, number: int = 0) -> Draws:
    key = jax.random.fold_in(jax.random.wrap_key_data(tiny_trainer.root(0), impl="threefry2x32"), number)
    return jax.jit(lambda key: step.draw(key, tiny.plan, tiny.config, len(tiny.frames)))(key)


def test_the_start_follows_from_the_key_alone(tiny):
    once, again, other = tiny.start(), tiny.start(), tiny.start(seed=1)
    assert_same(once, again)
    for name in ("params_g", "params_d", "vectors_g", "vectors_d"):
        assert np.mean(getattr(once, name) == getattr(other, name)) < 0.2, name


def test_kernels_are_normal_with_std_002_and_biases_zero(tiny, players):
    state = tiny.start()
    for network, vector in ((players.generator, state.params_g), (players.discriminator, state.params_d)):
        leaves = jax.tree_util.tree_leaves_with_path(split(network, vector))
        biases = np.concatenate([np.ravel(leaf) for path, leaf in leaves if path[-1].key == "bias"])
        kernels = np.concatenate([np.ravel(leaf) for path, leaf in leaves if path[-1].key == "kernel"])
        assert len(biases) + len(kernels) == len(vector) and not biases.any()
        assert abs(kernels.std() / 0.02 - 1) < 4 / np.sqrt(2 * len(kernels))
        assert abs(kernels.mean()) < 4 * 0.02 / np.sqrt(len(kernels))
        assert abs(np.mean(np.abs(kernels) < 0.02) - 0.6827) < 2 / np.sqrt(len(kernels))


def test_the_average_starts_at_the_weights_in_memory_of_its_own(tiny):
    state = tiny.start()
    np.testing.assert_array_equal(state.ema, state.params_g)
    assert not np.shares_memory(state.ema, state.params_g)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves((state.opt_g, state.opt_d)))


def test_the_starts_vectors_are_those_of_its_normalized_kernels(tiny, players):
    """Each kernel's u and v have unit length; the dense map, which has none, is the only one left out."""
    state = tiny.start()
    for network, vectors in ((players.generator, state.vectors_g), (players.discriminator, state.vectors_d)):
        kernels = {
            path[:-1]: leaf.shape
            for path, leaf in jax.tree_util.tree_leaves_with_path(network.shapes)
            if path[-1].key == "kernel" and path[0].key != "dense"
        }
        assert len(vectors) == sum(np.prod(shape[:-1]) + shape[-1] for shape in kernels.values())
        assert np.sum(np.float64(vectors) ** 2) == pytest.approx(2 * len(kernels), rel=1e-5)


def test_sampling_takes_the_averaged_generator(tiny):
    state, _ = tiny.advance(tiny.start(), 2)
    weights = tiny.stage.weights(state)
    assert set(weights) == {"ema", "vectors_g"} and weights["ema"] is state.ema
    assert weights["vectors_g"] is state.vectors_g and (state.ema != state.params_g).any()


def test_each_players_turn_moves_that_player_alone(tiny, players):
    """The step is Adam on G's loss for G, then on D's loss for D, though each loss has a gradient for the other too."""
    config, start = tiny.config, tiny.start()
    draws = draws_of(tiny)

    def turns(start, draws, frames):
        vectors_g = players.generator.power_step(start.params_g, start.vectors_g)
        vectors_d = players.discriminator.power_step(start.params_d, start.vectors_d)
        both_g, _ = jax.grad(players.generator_objective, argnums=(0, 1), has_aux=True)(
            start.params_g, start.params_d, vectors_g, vectors_d, draws, config.loss.diversity_weight
        )
        optimizer = adam.make_optimizer(config.optim.lr_g, config.optim.beta1, config.optim.beta2, config.optim.eps)
        params_g, _ = adam.optimizer_step(optimizer, both_g[0], start.opt_g, start.params_g)
        reals = to_float(choose_frames(draws.frames, frames, config.batch_size))
        both_d, _ = jax.grad(players.discriminator_objective, argnums=(0, 1), has_aux=True)(
            start.params_d, params_g, vectors_g, vectors_d, reals, draws
        )
        return both_g, both_d, (vectors_g, vectors_d)

    compiled = jax.jit(turns, compiler_options=compiler_options())
    (g_of_g, d_of_g), (d_of_d, g_of_d), vectors = compiled(start, draws, tiny.frames)
    after, _ = tiny.advance(start, 1)
    for state, own, leaked in ((after.opt_g, g_of_g, g_of_d), (after.opt_d, d_of_d, d_of_g)):
        # Adam's first moment starts at zero and is then (1 - beta1) times the gradient that was applied.
        applied = np.asarray(state[0].mu) / (1 - config.optim.beta1)
        assert np.linalg.norm(applied - own) < 1e-4 * np.linalg.norm(own)
        assert np.linalg.norm(leaked) > 1e-3 * np.linalg.norm(own)
        assert int(state[0].count) == 1
    for ours, theirs in zip((after.vectors_g, after.vectors_d), vectors, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_a_step_depends_on_its_key_and_number_alone(tiny):
    once, metrics = tiny.advance(tiny.start(), 1)
    again, same = tiny.advance(tiny.start(), 1)
    assert_same(once, again)
    assert metrics == same
    for changed in ({"first": 1}, {"seed": 1}):
        _, other = tiny.advance(tiny.start(), 1, **changed)
        assert other["loss_g"] != metrics["loss_g"] and other["diversity"] != metrics["diversity"]


@pytest.mark.parametrize(
    "branches, parts",
    [
        ("both", ("low_level", "content", "layout")),
        ("content", ("low_level", "content")),
        ("layout", ("low_level", "layout")),
        ("none", ("low_level", "trunk")),
    ],
)
def test_metrics_are_losses_and_logits_by_part(tiny, branches, parts):
    config = dataclasses.replace(tiny.config, model=dataclasses.replace(tiny.config.model, branches=branches))
    stage, key = step.Training(tiny.plan, config), jax.random.key(0, impl="threefry2x32")
    state = stage.init(tiny_trainer.root(0), tiny.frames)
    after, metrics = jax.eval_shape(stage.step, state, tiny.frames, key, jnp.int32(0))
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), after) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), state
    ), "a step keeps the state's shapes"
    kinds = ("loss_g", "loss_d_real", "loss_d_fake", "logit_real", "logit_fake")
    assert set(metrics) == {"loss_g", "loss_d", "diversity", *(f"{kind}/{part}" for kind in kinds for part in parts)}
    assert set(get("siv_gan").headline.values()) <= set(metrics)


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
    for field in dataclasses.fields(Draws):
        ours, theirs = (np.asarray(getattr(draws, field.name)) for draws in drawn)
        assert not np.any(ours == theirs), field.name
        if field.name.startswith("z_"):
            assert abs(ours.mean()) < 0.2 and abs(ours.std() - 1) < 0.15 and np.abs(ours).max() > 2
        else:
            assert ours.min() >= 0 and ours.max() < 1 and abs(ours.mean() - 0.5) < 0.2
    shapes = {field.name: getattr(drawn[0], field.name).shape for field in dataclasses.fields(Draws)}
    assert shapes["warp_d"][0] == 2 * shapes["warp_g"][0] == 128, "reals and fakes are warped each by their own"
    first, second = np.asarray(drawn[0].z_g), np.asarray(drawn[0].z_d)
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.2, "each turn has latents of its own"


def test_the_average_follows_its_decay(tiny):
    state = tiny.start()
    average = np.float64(state.ema)
    for t in range(4):
        state, _ = tiny.advance(state, 1, first=t)
        decay = (1 + t) / (10 + t)
        average = decay * average + (1 - decay) * np.float64(state.params_g)
        np.testing.assert_allclose(state.ema, average, rtol=0, atol=2e-7)


def test_heads_that_the_discriminator_does_not_read_never_change(tiny, players):
    """Its low-level blocks see the finest scales alone (as run, the coarser heads never train)."""
    after, _ = tiny.advance(tiny.start(), 5)
    before, trained = (split(players.generator, state.params_g) for state in (tiny.start(), after))
    read = tiny.plan.num_blocks_g - tiny.plan.num_blocks_low_level
    for i in range(tiny.plan.num_blocks_g):
        name = f"to_image_{i}"
        if i < read:
            assert_same(trained[name], before[name])
        else:
            assert np.all(trained[name]["kernel"] != before[name]["kernel"])
    for i in range(tiny.plan.num_blocks_g):
        assert np.any(trained[f"block_{i}"]["conv1"]["kernel"] != before[f"block_{i}"]["conv1"]["kernel"])


def test_single_elements_of_the_discriminator_keep_their_value(tiny, players):
    after, _ = tiny.advance(tiny.start(), 5)
    before, trained = (
        jax.tree_util.tree_leaves_with_path(split(players.discriminator, state.params_d))
        for state in (tiny.start(), after)
    )
    single = [
        (old, new)
        for (path, old), (_, new) in zip(before, trained, strict=True)
        if path[-1].key == "kernel" and old.size == 1
    ]
    assert single, "the layout branch has kernels of one element"
    for old, new in single:
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("name", ["params_g", "params_d"])
def test_a_loss_that_is_not_finite_shows_in_the_metrics(tiny, name):
    _, sums = tiny.advance(tiny.start(), 3)
    assert np.isfinite(list(sums.values())).all()
    broken = tiny.start()
    getattr(broken, name)[:] = np.nan
    _, sums = tiny.advance(broken, 3)
    assert not np.isfinite(sums["loss_g"]) and not np.isfinite(sums["loss_d"])


def test_nan_in_a_frame_shows_in_the_discriminators_loss(tiny, players):
    state, draws = tiny.start(), draws_of(tiny)

    @jax.jit
    def loss(frames):
        reals = to_float(choose_frames(draws.frames, frames, tiny.config.batch_size))
        vectors = state.vectors_g, state.vectors_d
        return players.discriminator_objective(state.params_d, state.params_g, *vectors, reals, draws)[0]

    frames = np.full(tiny.frames.shape, 0.25, np.float32)
    assert np.isfinite(loss(frames))
    frames[0, 20, 30, 1] = np.nan
    assert not np.isfinite(loss(frames))


def test_the_pyramid_halves_by_means_of_four():
    images = np.random.default_rng(0).normal(size=(2, 16, 24, 3)).astype(np.float32)
    scales = pyramid(jnp.asarray(images), 3)
    assert [scale.shape[1:3] for scale in scales] == [(4, 6), (8, 12), (16, 24)]
    np.testing.assert_allclose(scales[1], images.reshape(2, 8, 2, 12, 2, 3).mean((2, 4)), atol=1e-6)
    np.testing.assert_allclose(scales[0], images.reshape(2, 4, 4, 6, 4, 3).mean((2, 4)), atol=1e-6)
