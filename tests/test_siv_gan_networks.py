"""Sizes and shapes of both networks: parameters pinned, any number of channels, every ablation."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from siv_jax.models.siv_gan import network
from siv_jax.models.siv_gan.config import ModelConfig
from siv_jax.models.siv_gan.discriminator import Discriminator
from siv_jax.nn import flat
from siv_jax.nn.two_branch.discriminator import content_channels
from siv_jax.nn.two_branch.generator import Generator
from siv_jax.nn.two_branch.plan import Plan, make_plan
from siv_jax.train.devices import compiler_options


def plan_of(height: int, width: int, channels: int = 3, **model) -> tuple[Plan, ModelConfig]:
    model = ModelConfig(**model)
    return make_plan(height, width, channels, 1792, model), model


def sizes(plan: Plan, model: ModelConfig) -> tuple[int, int]:
    return tuple(flat.size(shapes) for shapes in shapes_of(plan, model))


def shapes_of(plan: Plan, model: ModelConfig) -> tuple[dict, dict]:
    """Shapes of the parameters of both networks."""
    return network.generator(plan, model).shapes, network.discriminator(plan, model).shapes


@pytest.mark.parametrize(
    "height, width, at_32, at_8",
    [
        # The first three as method.md gives them.
        (192, 320, (5_886_581, 1_256_497), (420_845, 80_179)),
        (128, 128, (4_650_354, 1_256_497), (345_258, 80_179)),
        (64, 64, (3_397_743, 649_568), (265_575, 41_774)),
        (512, 512, (7_155_576, 2_453_402), (504_624, 155_132)),
        (1024, 1024, (8_408_187, 2_585_266), (584_307, 163_540)),
    ],
)
def test_parameter_counts(height, width, at_32, at_8):
    assert sizes(*plan_of(height, width)) == at_32
    assert sizes(*plan_of(height, width, ch_g=8, ch_d=8)) == at_8


@pytest.mark.parametrize("channels", range(1, 9))
def test_any_number_of_image_channels(channels):
    plan, model = plan_of(64, 64, channels, ch_g=8, ch_d=8)
    generator, discriminator = sizes(plan, model)
    # A 3x3 kernel and a bias per image channel: to every scale of G, and from the two scales that D reads.
    widths = (64, 64, 32, 16, 8)
    assert generator == 265_575 + (channels - 3) * sum(9 * width + 1 for width in widths)
    assert discriminator == 41_774 + (channels - 3) * 9 * (8 + 2)
    (images, _), logits = outputs(plan, model)
    assert all(image.shape[-1] == channels for image in images)
    assert logits["low_level"][0].shape == (2, 32, 32, 1)


def outputs(plan: Plan, model: ModelConfig, dtype=jnp.float32):
    """Shapes and dtypes of ((images, features), logits)."""

    def both(key, z):
        made, _ = Generator(plan, model, dtype).init_with_output(key, z)
        seen = made[0][-plan.num_blocks_low_level :]
        return made, Discriminator(plan, model, dtype).init_with_output(key, seen)[0]

    z = jax.ShapeDtypeStruct((2, model.noise_dim), jnp.float32)
    return jax.eval_shape(both, jax.eval_shape(lambda: jax.random.key(0)), z)


@pytest.mark.parametrize(
    "branches, parts, parameters",
    [
        ("both", {"low_level", "content", "layout"}, 80_179),
        ("content", {"low_level", "content"}, 79_457),
        ("layout", {"low_level", "layout"}, 46_639),
        ("none", {"low_level", "trunk"}, 357_985),
    ],
)
def test_branches_of_table_3(branches, parts, parameters):
    plan, model = plan_of(192, 320, ch_g=8, ch_d=8, branches=branches)
    assert sizes(plan, model)[1] == parameters
    _, logits = outputs(plan, model)
    assert set(logits) == parts
    # The same depth on every way through: 3 low-level blocks and 4 more.
    assert {len(maps) for part, maps in logits.items() if part != "low_level"} == {4}
    assert len(logits["low_level"]) == 3


@pytest.mark.parametrize("low_level", range(1, 7))
def test_low_level_blocks_of_table_6(low_level):
    plan, model = plan_of(192, 320, ch_g=8, ch_d=8, num_blocks_low_level=low_level)
    _, logits = outputs(plan, model)
    assert [len(logits[part]) for part in ("low_level", "content", "layout")] == [
        low_level,
        7 - low_level,
        7 - low_level,
    ]
    _, shapes = shapes_of(plan, model)
    joins = [name for name in shapes if name.startswith("from_image_")]
    assert len(joins) == low_level, "an image joins before each low-level block"
    channels = (1, 2, 4, 8, 8, 8, 8)[low_level] * 8
    assert content_channels(plan, model) == channels
    assert shapes["content_0"]["conv1"]["kernel"].shape[:3] == (1, 1, channels)
    assert shapes["layout_0"]["conv1"]["kernel"].shape == (3, 3, channels, 1)


def test_bfloat16_arithmetic_keeps_float32_parameters_images_and_logits():
    plan, model = plan_of(64, 64, ch_g=8, ch_d=8)
    (images, features), logits = outputs(plan, model, jnp.bfloat16)
    leaves = [*images, *features, *jax.tree.leaves(logits)]
    leaves += jax.tree.leaves(shapes_of(plan, model))
    assert {leaf.dtype for leaf in leaves} == {jnp.dtype(jnp.float32)}


def test_kernels_of_blocks_are_as_the_method_lists_them():
    plan, model = plan_of(192, 320)
    g, d = shapes_of(plan, model)
    widths = [g["dense"]["kernel"].shape[-1]] + [g[f"block_{i}"]["conv2"]["kernel"].shape[-1] for i in range(7)]
    assert widths == [256, 256, 256, 256, 256, 128, 64, 32]
    assert g["dense"]["kernel"].shape == (64, 3, 5, 256)
    assert "bias" not in g["block_3"]["shortcut"] and "bias" in g["block_3"]["conv1"]
    assert [d[f"low_level_{i}"]["conv2"]["kernel"].shape[-1] for i in range(3)] == [64, 128, 256]
    # phi_lin_cat: the coarser image comes with an eighth of the channels it joins.
    assert d["from_image_1"]["kernel"].shape == (3, 3, 3, 8)
    assert d["low_level_1"]["conv1"]["kernel"].shape == (3, 3, 64 + 8, 72)
    assert "shortcut" not in d["content_0"], "the identity where the channels stay"
    assert d["layout_1"]["conv1"]["kernel"].shape == (3, 3, 1, 1)


def test_images_and_features_are_tanh_of_what_the_blocks_give():
    plan, model = plan_of(48, 48, ch_g=1, ch_d=8, noise_dim=4)
    generator = Generator(plan, model)
    shapes, _ = shapes_of(plan, model)
    rng = np.random.default_rng(0)
    # Weights so large that only tanh keeps the outputs in range.
    params = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), shapes)
    images, features = jax.jit(generator.apply)({"params": params}, np.ones((1, 4), np.float32))
    for array in (*images, *features):
        assert np.abs(array).max() <= 1.0
    assert np.abs(images[-1]).max() > 0.99
    assert [array.shape[1] for array in images] == [3, 6, 12, 24, 48]


def test_rematerialisation_changes_memory_alone():
    plan, plain = plan_of(64, 64, ch_g=1, ch_d=8, num_blocks_d=3, num_blocks_low_level=1)
    remat = dataclasses.replace(plain, remat=True)
    rng = np.random.default_rng(0)
    params = jax.tree.map(
        lambda leaf: rng.normal(scale=0.2, size=leaf.shape).astype(np.float32),
        dict(zip("gd", shapes_of(plan, plain), strict=True)),
    )
    z = rng.normal(size=(2, plain.noise_dim)).astype(np.float32)

    def objective(model: ModelConfig):
        generator, discriminator = Generator(plan, model), Discriminator(plan, model)

        def run(params):
            images, _ = generator.apply({"params": params["g"]}, z)
            logits = discriminator.apply({"params": params["d"]}, images[-plan.num_blocks_low_level :])
            return sum(jnp.mean(jnp.tanh(logit)) for maps in logits.values() for logit in maps)

        return jax.value_and_grad(run)

    kept, again = (str(jax.make_jaxpr(objective(model))(params)).count("prevent_cse") for model in (plain, remat))
    assert kept == 0 and again >= plan.num_blocks_g + plan.num_blocks_low_level
    assert shapes_of(plan, remat) == shapes_of(plan, plain)
    jit = functools.partial(jax.jit, compiler_options=compiler_options())
    value, grads = jit(objective(plain))(params)
    other_value, other_grads = jit(objective(remat))(params)
    np.testing.assert_allclose(other_value, value, rtol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), other_grads, grads)
