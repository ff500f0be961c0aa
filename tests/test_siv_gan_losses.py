"""Losses against their definitions, written out with numpy and plain loops."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from siv_jax.models.siv_gan.config import LossConfig
from siv_jax.nn import gan_losses
from siv_jax.nn.two_branch import losses

RNG = np.random.default_rng(0)
N_D = 7
LOGITS = {
    "low_level": [RNG.normal(size=(3, side, 2 * side, 1)).astype(np.float32) * 3 for side in (16, 8, 4)],
    "content": [RNG.normal(size=(3, 1, 1, 1)).astype(np.float32) * 3 for _ in range(4)],
    "layout": [RNG.normal(size=(3, side, side, 1)).astype(np.float32) * 3 for side in (2, 1, 1, 1)],
}


def sigmoid(x):
    return 1 / (1 + np.exp(-np.float64(x)))


KINDS = gan_losses.REAL, gan_losses.FAKE, gan_losses.GENERATOR
# kind -> (real, fake, generator) per logit.
DEFINITIONS = {
    "bce": (lambda x: -np.log(sigmoid(x)), lambda x: -np.log(1 - sigmoid(x)), lambda x: -np.log(sigmoid(x))),
    "hinge": (lambda x: np.maximum(0, 1 - x), lambda x: np.maximum(0, 1 + x), lambda x: -x),
    "wasserstein": (lambda x: -x, lambda x: x, lambda x: -x),
}
# balance -> part -> weight of each block: as run, and eq. 1 (mean over blocks) with eq. 3.
WEIGHTS = {
    "as_run": {"low_level": 1 / 7, "content": 0.5 / 7, "layout": 0.5 / 7},
    "paper": {"low_level": 2 / 3, "content": 1 / 4, "layout": 1 / 4},
}


@pytest.mark.parametrize("balance", WEIGHTS)
@pytest.mark.parametrize("kind", DEFINITIONS)
def test_adversarial_losses(kind, balance):
    config = LossConfig(adversarial=kind, balance=balance)
    for kinds, definition in zip(KINDS, DEFINITIONS[kind], strict=True):
        ours = losses.by_part(LOGITS, kinds, config, N_D)
        assert set(ours) == set(LOGITS)
        for part, maps in LOGITS.items():
            expected = WEIGHTS[balance][part] * sum(np.mean(definition(logit)) for logit in maps)
            np.testing.assert_allclose(ours[part], expected, rtol=1e-5, err_msg=part)


@pytest.mark.parametrize("kind", DEFINITIONS)
@pytest.mark.parametrize("size", [-200.0, 200.0])
def test_certain_logits_give_finite_losses(kind, size):
    logits = {"content": [np.full((1, 1, 1, 1), size, np.float32)]}
    for kinds in KINDS:
        assert np.isfinite(losses.by_part(logits, kinds, LossConfig(adversarial=kind), 1)["content"])


@pytest.mark.parametrize("balance", WEIGHTS)
def test_the_low_level_loss_can_be_left_out(balance):
    config = LossConfig(balance=balance, low_level=False)
    with_it = losses.by_part(LOGITS, gan_losses.REAL, LossConfig(balance=balance), N_D)
    without = losses.by_part(LOGITS, gan_losses.REAL, config, N_D)
    assert float(without["low_level"]) == 0.0 < float(with_it["low_level"])
    assert float(without["content"]) == float(with_it["content"])


def test_the_trunk_weighs_as_much_as_both_branches():
    for balance in WEIGHTS:
        config = LossConfig(balance=balance)
        branch = losses.part_weight("content", 4, config, N_D) + losses.part_weight("layout", 4, config, N_D)
        assert losses.part_weight("trunk", 4, config, N_D) == pytest.approx(branch)


@pytest.mark.parametrize("batch", [2, 3, 4, 5, 8, 11, 12])
def test_pairwise_distance_is_the_mean_over_all_pairs(batch):
    x = RNG.normal(size=(batch, 3, 4, 2)).astype(np.float32)
    pairs = [np.mean(np.abs(x[i] - x[j])) for i, j in itertools.combinations(range(batch), 2)]
    np.testing.assert_allclose(losses.pairwise_l1(x), np.mean(pairs), rtol=1e-6)
    signs = np.sign(x[:, None] - x[None]).sum(axis=1)  # each pair is met from both sides
    slopes = signs / (batch * (batch - 1) / 2) / x[0].size
    np.testing.assert_allclose(jax.grad(losses.pairwise_l1)(x), slopes, atol=1e-7)


def test_differences_of_a_large_batch_are_not_kept():
    """Memory of the gradient by XLA's figures: of all pairs, 40 samples would keep 20 times as much as they are."""
    x = jax.ShapeDtypeStruct((40, 16, 16, 8), jnp.float32)
    compiled = jax.jit(jax.grad(losses.pairwise_l1)).lower(x).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 8 * 4 * math.prod(x.shape)


def outputs(batch: int, layers: int):
    """Images and features of so many layers, and latents."""
    features = [RNG.normal(size=(batch, 2**i, 2**i, 3)).astype(np.float32) for i in range(layers)]
    images = [np.tanh(feature) for feature in features]
    return images, features, RNG.normal(size=(batch, 8)).astype(np.float32)


def directly(batch: int, layers: list[np.ndarray]) -> float:
    """The as-run sum: every pair and layer, times 2 / (L (L - 1))."""
    total = 0.0
    for layer in layers:
        for i in range(batch):
            for j in range(i + 1, batch):
                total += np.mean(np.abs(np.float64(layer[i]) - layer[j]))
    return total * 2 / (len(layers) * (len(layers) - 1))


@pytest.mark.parametrize("batch", [2, 4, 5])
@pytest.mark.parametrize("layers", [5, 6, 7, 8])
def test_feature_diversity_as_run_is_the_sum_over_pairs_and_layers(batch, layers):
    images, features, z = outputs(batch, layers)
    as_run = losses.diversity(images, features, z, None, LossConfig())
    np.testing.assert_allclose(as_run, directly(batch, features), rtol=1e-5)
    paper = losses.diversity(images, features, z, None, LossConfig(diversity_scale="paper"))
    np.testing.assert_allclose(as_run / paper, batch * (batch - 1) / (layers - 1), rtol=1e-5)
    mean = np.mean(
        [[np.mean(np.abs(f[i] - f[j])) for i, j in itertools.combinations(range(batch), 2)] for f in features]
    )
    np.testing.assert_allclose(paper, mean, rtol=1e-5)


def test_the_factor_of_the_default_batch_is_the_methods():
    """5, 4, 3.33, 2.86 times for L = 5, 6, 7, 8 at B = 5."""
    for layers, factor in ((5, 5.0), (6, 4.0), (7, 3.33), (8, 2.86)):
        images, features, z = outputs(5, layers)
        as_run = losses.diversity(images, features, z, None, LossConfig())
        paper = losses.diversity(images, features, z, None, LossConfig(diversity_scale="paper"))
        assert abs(float(as_run / paper) - factor) < 5e-3


def test_relative_diversity_does_not_grow_with_the_features():
    images, features, z = outputs(4, 5)
    relative = LossConfig(diversity_scale="relative")
    units = [f / np.mean(np.abs(f)) for f in features]
    found = losses.diversity(images, features, z, None, relative)
    np.testing.assert_allclose(found, losses.diversity(images, units, z, None, LossConfig()), rtol=5e-3)
    larger = [f * np.float32(7 + i) for i, f in enumerate(features)]
    np.testing.assert_allclose(losses.diversity(images, larger, z, None, relative), found, rtol=5e-3)


def test_diversity_in_image_space_reads_the_finest_image_alone():
    images, features, z = outputs(4, 5)
    config = LossConfig(diversity="image", diversity_scale="paper")
    ours = losses.diversity(images, features, z, None, config)
    pairs = [np.mean(np.abs(images[-1][i] - images[-1][j])) for i, j in itertools.combinations(range(4), 2)]
    np.testing.assert_allclose(ours, np.mean(pairs), rtol=1e-6)


@pytest.mark.parametrize("batch", [2, 5])
def test_ds_is_the_mean_of_ratios_not_the_ratio_of_means(batch):
    images, features, z = outputs(batch, 5)
    ours = losses.diversity(images, features, z, None, LossConfig(diversity="ds", diversity_scale="paper"))
    ratios = [
        np.mean(np.abs(images[-1][i] - images[-1][j])) / np.mean(np.abs(z[i] - z[j]))
        for i, j in itertools.combinations(range(batch), 2)
    ]
    np.testing.assert_allclose(ours, np.mean(ratios), rtol=1e-5)


def test_zcr_is_the_squared_distance_to_the_images_of_moved_latents():
    images, features, z = outputs(4, 5)
    moved = images[-1] + np.float32(0.25)
    ours = losses.diversity(images, features, z, moved, LossConfig(diversity="zcr", diversity_scale="paper"))
    np.testing.assert_allclose(ours, 0.25**2, rtol=1e-5)


@pytest.mark.parametrize("kind", ["image", "ds", "zcr"])
def test_every_row_of_table_4_takes_the_same_scale(kind):
    images, features, z = outputs(5, 6)
    values = [
        losses.diversity(
            images, features, z, images[-1] * np.float32(0.5), LossConfig(diversity=kind, diversity_scale=scale)
        )
        for scale in ("as_run", "paper")
    ]
    np.testing.assert_allclose(values[0] / values[1], 4.0, rtol=1e-5)


def test_none_is_zero():
    assert float(losses.diversity(*outputs(3, 5), None, LossConfig(diversity="none"))) == 0.0
