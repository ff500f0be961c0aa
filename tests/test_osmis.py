"""OSMIS in its parts: sizes of the networks, losses, hardened masks, and both augmentations."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from siv_jax.models.osmis import family, layout_augment, losses, networks, objectives, pair_augment
from siv_jax.models.osmis.config import Config, ModelConfig
from siv_jax.nn import flat, spectral_norm
from siv_jax.nn.two_branch.plan import make_plan


def plan(height: int, width: int, model: ModelConfig, classes: int = 3) -> networks.Plan:
    return networks.Plan(**vars(make_plan(height, width, 3, max(height, width), model)), num_classes=classes)


@pytest.mark.parametrize(
    ("size", "parameters"), [((192, 320), (5_887_448, 2_443_581)), ((64, 112), (3_595_218, 1_705_580))]
)
def test_the_original_has_as_many_parameters(size, parameters):
    assert family._sizes(plan(*size, ModelConfig()), ModelConfig()) == parameters


def test_the_mask_alone_reaches_the_content_branch():
    model = ModelConfig(ch_d=8, num_blocks_d=3, num_blocks_low_level=2)
    made = plan(48, 64, model)
    network, rng = networks.make_discriminator(made, model), np.random.default_rng(0)
    tree = network.init_params(rng)
    params, vectors = flat.joined(tree), flat.joined(spectral_norm.init(tree, rng))
    images = [rng.uniform(-1, 1, (2, 48 >> i, 64 >> i, 3)).astype(np.float32) for i in (1, 0)]
    masks = rng.uniform(0, 1, (2, 2, *networks.feature_size(made), 3)).astype(np.float32)
    apply = jax.jit(network.apply)
    one, other = (apply(params, vectors, images, mask) for mask in masks)
    for part in ("low_level", "layout"):
        jax.tree.map(np.testing.assert_array_equal, one[part], other[part])
    assert all((a != b).all() for a, b in zip(one["content"], other["content"], strict=True))
    assert one["content"][0].shape == (3 * 2, 1, 1, 4)
    # A row without area is that of no features: the same for every sample and class.
    empty = masks[0].copy()
    empty[1, ..., 2] = 0
    empty[0, ..., 0] = 0
    rows = apply(params, vectors, images, empty)["content"][0].reshape(3, 2, 4)
    np.testing.assert_array_equal(rows[2, 1], rows[0, 0])


def test_class_loss_is_the_weighted_cross_entropy():
    rng = np.random.default_rng(0)
    logits, weights = rng.normal(size=(3 * 5, 1, 1, 4)).astype(np.float32), np.array([0.5, 0.0, 2.0], np.float32)
    total = 0.0
    for row, logit in enumerate(logits[:, 0, 0]):
        total += weights[row // 5] * (np.log(np.exp(logit).sum()) - logit[row // 5])
    expected = total / (5 * weights.sum())
    assert float(losses.class_loss(jnp.asarray(logits), jnp.asarray(weights))) == pytest.approx(expected, rel=1e-5)
    fake = np.mean([np.log(np.exp(logit).sum()) - logit[3] for logit in logits[:, 0, 0]])
    assert float(losses.fake_class_loss(jnp.asarray(logits))) == pytest.approx(fake, rel=1e-5)


def test_rare_classes_weigh_more_and_absent_ones_nothing():
    mask = np.zeros((2, 4, 4, 4), np.float32)
    mask[..., 0], mask[:, 0, :, 1], mask[0, 1, 1, 3] = 1, 0.5, 0.25
    np.testing.assert_allclose(losses.class_weights(jnp.asarray(mask)), [1 / 32, 1 / 4, 0, 4], rtol=1e-6)


def test_hardened_masks_are_zeros_and_ones_with_the_gradient_of_soft_ones():
    rng = np.random.default_rng(0)
    soft = jax.nn.softmax(jnp.asarray(rng.normal(size=(40, 8, 8, 3)).astype(np.float32)))
    uniform = rng.random(soft.shape, np.float32)
    weights = rng.normal(size=soft.shape).astype(np.float32)
    for by_chance in (False, True):
        hard = objectives.hardened(soft, uniform, jnp.bool_(by_chance))
        assert np.abs(hard - np.round(hard)).max() < 1e-6
        gradient = jax.grad(lambda x, how=by_chance: jnp.sum(objectives.hardened(x, uniform, how) * weights))(soft)
        np.testing.assert_array_equal(gradient, weights)
        if by_chance:
            assert np.abs(np.mean(hard - soft)) < 0.01 and (hard.sum(-1).round() != 1).any()
        else:
            np.testing.assert_array_equal(hard.argmax(-1), soft.argmax(-1))
            np.testing.assert_allclose(hard.sum(-1), 1, atol=1e-6)


BATCH, HEIGHT, WIDTH, CLASSES = 5, 12, 16, 3


def scene(seed: int = 0) -> np.ndarray:
    """One-hot masks [B, h, w, M]: in each sample an object of 2x3 cells and one of 2x2, somewhere."""
    rng, labels = np.random.default_rng(seed), np.zeros((BATCH, HEIGHT, WIDTH), int)
    for one in labels:
        row, column = rng.integers(0, 4), rng.integers(0, 5)
        one[row : row + 2, column : column + 3] = 1
        one[row + 6 : row + 8, column + 7 : column + 9] = 2
    return np.eye(CLASSES, dtype=np.float32)[labels]


@functools.cache
def jitted(function, probability: float = 1.0, **options):
    return jax.jit(lambda uniform, mask: function(uniform, mask, probability, **options))


def stage(function, seed: int, probability: float = 1.0, **options) -> tuple[np.ndarray, np.ndarray]:
    """Labels before and after it."""
    mask = scene(seed)
    counts = {"copied": layout_augment.COPY, "exchanged": layout_augment.EXCHANGE}
    count = counts.get(function.__name__, layout_augment._moving(CLASSES))
    uniform = np.random.default_rng(seed).random((BATCH, count), np.float32)
    places = jitted(function, probability, **options)(uniform, mask)
    return mask.argmax(-1), np.asarray(layout_augment.taken(jnp.asarray(mask), places)).argmax(-1)


def test_copied_background_touches_no_object():
    for seed in range(8):
        before, after = stage(layout_augment.copied, seed)
        np.testing.assert_array_equal(before, after)
        uniform = np.random.default_rng(seed).random((BATCH, layout_augment.COPY), np.float32)
        places = jitted(layout_augment.copied)(uniform, scene(seed))
        changed = np.asarray(places) != np.arange(places.size).reshape(places.shape)
        assert changed.any((1, 2)).sum() >= 3
        assert (np.asarray(places) // (HEIGHT * WIDTH) == np.arange(BATCH)[:, None, None]).all()


def test_every_sample_of_an_odd_batch_gets_something_of_another():
    got = np.zeros(BATCH, bool)
    for seed in range(8):
        uniform = np.random.default_rng(seed).random((BATCH, layout_augment.EXCHANGE), np.float32)
        places = np.asarray(jitted(layout_augment.exchanged)(uniform, scene(seed)))
        got |= (places // (HEIGHT * WIDTH) != np.arange(BATCH)[:, None, None]).any((1, 2))
    assert got.all()


def test_objects_move_whole_in_every_sample():
    """With both decisions an object leaves its place: as many cells as before, none of them lost, in all samples."""
    moved = np.zeros(BATCH, bool)
    for seed in range(8):
        before, after = stage(layout_augment.moved, seed)
        for label in (1, 2):
            np.testing.assert_array_equal((after == label).sum((1, 2)), (before == label).sum((1, 2)))
        moved |= (before != after).any((1, 2))
        _, as_run = stage(layout_augment.moved, seed, as_run=True)
        assert ((as_run > 0).sum((1, 2)) >= (before > 0).sum((1, 2))).all()
    assert moved.all()


def test_nothing_happens_without_a_decision():
    uniform = np.full((BATCH, layout_augment.uniforms(CLASSES)), 0.5, np.float32)
    features = np.random.default_rng(0).normal(size=(BATCH, HEIGHT, WIDTH, 7)).astype(np.float32)
    augment = jax.jit(layout_augment.augment_layout, static_argnums=3)
    same = augment(uniform, features, scene(), 0.0)
    np.testing.assert_array_equal(same, features)
    changed = augment(uniform * 0.3, features, scene(), 0.9)
    assert (np.asarray(changed) != features).any()


def test_masks_pass_the_warp_of_their_pictures():
    """A picture that shows its mask still does, whatever happens, and the shares of the classes still sum up to one."""
    rng = np.random.default_rng(0)
    mask = np.eye(3, dtype=np.float32)[rng.integers(0, 3, (4, 6, 8))].repeat(4, 1).repeat(4, 2)
    scales = [mask.reshape(4, 12, 2, 16, 2, 3).mean((2, 4)), mask]
    function = jax.jit(lambda decisions, places: pair_augment.augment(decisions, places, scales, mask, 0.7))
    seen = 0
    for _ in range(12):
        images, warped = function(
            rng.random(pair_augment.DECISIONS, np.float32), rng.random((4, pair_augment.PLACES), np.float32)
        )
        np.testing.assert_array_equal(images[1], warped)
        np.testing.assert_allclose(warped.sum(-1), 1, atol=1e-5)
        assert images[0].shape == scales[0].shape
        seen += bool((np.asarray(warped) != mask).any())
    assert seen >= 8


def test_settings_that_do_not_go_together():
    with pytest.raises(ValueError, match="compares pairs of samples and needs batch_size 2"):
        Config(batch_size=1)
