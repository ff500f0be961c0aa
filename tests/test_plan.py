"""The resolution plan: its examples, every size in range, and sizes that no plan fits."""

import itertools

import jax
import jax.numpy as jnp
import pytest

from siv_jax.errors import UserError
from siv_jax.models.siv_gan.config import ModelConfig
from siv_jax.models.siv_gan.discriminator import Discriminator
from siv_jax.nn.two_branch.generator import Generator
from siv_jax.nn.two_branch.plan import LARGEST_SIDE, SMALLEST_SIDE, make_plan, scaled_size

MODEL = ModelConfig(ch_g=1, ch_d=8, noise_dim=4)


def plan_of(height: int, width: int, max_size: int = LARGEST_SIDE, **model):
    return make_plan(height, width, 3, max_size, ModelConfig(**model))


def test_the_example_of_the_method():
    assert scaled_size(480, 854, 330) == (185, 330)
    plan = plan_of(480, 854, 330)
    assert (plan.height, plan.width, plan.noise_height, plan.noise_width) == (192, 320, 3, 5)
    assert (plan.num_blocks_g, plan.num_blocks_d, plan.num_blocks_low_level) == (7, 7, 3)


@pytest.mark.parametrize(
    "side, blocks_g, blocks_d, low_level, training",
    [
        (1024, 9, 8, 4, 1024),
        (512, 8, 7, 4, 512),
        (256, 7, 7, 3, 256),
        (128, 6, 7, 3, 128),
        (64, 5, 6, 2, 64),
        # 3 <= side / 2^(g-1) <= 7: the last side of each number of blocks and the first of the next.
        (48, 5, 6, 2, 48),
        (112, 5, 6, 2, 112),
        (113, 6, 7, 3, 128),
        (224, 6, 7, 3, 224),
        (225, 7, 7, 3, 256),
        (448, 7, 7, 3, 448),
        (449, 8, 7, 4, 512),
        (896, 8, 7, 4, 896),
        (897, 9, 8, 4, 1024),
        (1792, 9, 8, 4, 1792),
    ],
)
def test_squares(side, blocks_g, blocks_d, low_level, training):
    plan = plan_of(side, side)
    assert (plan.num_blocks_g, plan.num_blocks_d, plan.num_blocks_low_level) == (blocks_g, blocks_d, low_level)
    assert (plan.height, plan.width) == (training, training)


def blocks_by_the_rule(height: int, width: int) -> int:
    """As method.md says it, looked up in lists rather than as the package computes it."""
    height_fits = [g for g in range(5, 10) if 3 <= height / 2 ** (g - 1) <= 7]
    width_fits = [g for g in range(5, 10) if 3 <= width / 2 ** (g - 1) <= 7]
    return max(height_fits[0], width_fits[0])


SIDES = (48, 49, 63, 64, 80, 96, 111, 112, 113, 128, 170, 224, 225, 300, 448, 449, 700, 896, 897, 1200, 1791, 1792)


@pytest.mark.parametrize("height", SIDES)
def test_every_size_in_range_has_a_plan_by_the_rule(height):
    for width in SIDES:
        plan = plan_of(height, width)
        blocks = blocks_by_the_rule(height, width)
        cell = 2 ** (blocks - 1)
        assert plan.num_blocks_g == blocks
        assert plan.noise_height == max(1, round(height / cell)), (height, width)
        assert plan.noise_width == max(1, round(width / cell)), (height, width)
        assert (plan.height, plan.width) == (plan.noise_height * cell, plan.noise_width * cell)
        assert plan.num_blocks_low_level < plan.num_blocks_d and plan.num_blocks_low_level <= blocks


def trace(plan, model) -> tuple[list, dict]:
    """Shapes of the generator's images and of the discriminator's logits on them, without computing anything."""
    z = jax.ShapeDtypeStruct((2, model.noise_dim), jnp.float32)
    key = jax.eval_shape(lambda: jax.random.key(0))
    generator, discriminator = Generator(plan, model), Discriminator(plan, model)

    def both(key, z):
        (images, _), _ = generator.init_with_output(key, z)
        return images, discriminator.init_with_output(key, images[-plan.num_blocks_low_level :])[0]

    return jax.eval_shape(both, key, z)


# Every number of blocks, with the squarest and the most elongated pictures that lead to it.
LATTICE = [(48, 48), (112, 48), (113, 130), (48, 224), (185, 330), (448, 48), (448, 448), (1792, 48), (48, 1792)]


@pytest.mark.parametrize("height, width", LATTICE)
def test_shapes_trace_through_both_networks(height, width):
    plan = plan_of(height, width)
    images, logits = trace(plan, MODEL)
    assert images[-1].shape == (2, plan.height, plan.width, 3)
    assert images[0].shape == (2, plan.noise_height, plan.noise_width, 3)
    for coarse, fine in itertools.pairwise(images):
        assert fine.shape[1:3] == (2 * coarse.shape[1], 2 * coarse.shape[2])
    assert {part: len(maps) for part, maps in logits.items()} == {
        "low_level": plan.num_blocks_low_level,
        "content": plan.num_blocks_d - plan.num_blocks_low_level,
        "layout": plan.num_blocks_d - plan.num_blocks_low_level,
    }
    sides = [plan.height, plan.width]
    for logit in logits["low_level"] + logits["layout"]:
        sides = [max(side // 2, 1) for side in sides]
        assert logit.shape == (2, *sides, 1)
    assert all(logit.shape == (2, 1, 1, 1) for logit in logits["content"])


@pytest.mark.parametrize("height, width", [(15, 64), (64, 15), (8, 8), (1793, 1000), (1000, 1793), (1, 4000)])
def test_sizes_without_a_plan_are_refused_with_those_that_have_one(height, width):
    with pytest.raises(UserError) as error:
        plan_of(height, width, max_size=10**6)
    assert f"{width}x{height}" in str(error.value)
    assert str(SMALLEST_SIDE) in str(error.value) and str(LARGEST_SIDE) in str(error.value)


def test_the_example_has_a_plan_at_every_max_size():
    """The original crashes on it below 100 and from 113 to 199."""
    for max_size in range(48, 855):
        plan = plan_of(480, 854, max_size)
        assert max(scaled_size(480, 854, max_size)) <= max(max_size, 96)
        assert 0.7 < (plan.width / plan.height) / (854 / 480) < 1.4


@pytest.mark.parametrize("max_size", [48, 150])
def test_the_example_traces_where_the_original_crashes(max_size):
    trace(plan_of(480, 854, max_size), MODEL)


def test_an_elongated_picture_keeps_48_pixels_or_is_refused_with_what_helps():
    assert scaled_size(200, 400, 64) == (48, 96)
    assert scaled_size(400, 200, 64) == (96, 48)
    with pytest.raises(UserError) as error:
        scaled_size(100, 1000, 64)
    assert "data.max_size to 480 or more" in str(error.value)
    assert min(scaled_size(100, 1000, 480)) == 48


def test_a_small_picture_is_never_enlarged_before_the_plan():
    assert scaled_size(100, 50, 330) == (100, 50)
    assert scaled_size(330, 330, 330) == (330, 330)


@pytest.mark.parametrize("low_level", range(1, 7))
def test_low_level_blocks_can_be_swept(low_level):
    """Table 6: 1 to 6 of 7."""
    plan = plan_of(185, 330, num_blocks_low_level=low_level)
    assert (plan.num_blocks_low_level, plan.num_blocks_d) == (low_level, 7)


@pytest.mark.parametrize(
    "model",
    [
        {"num_blocks_low_level": 7},
        {"num_blocks_d": 3, "num_blocks_low_level": 3},
        {"num_blocks_d": 1},
        {"num_blocks_g": 5, "num_blocks_d": 8, "num_blocks_low_level": 6},
        {"num_blocks_g": 3},
        {"num_blocks_g": 1},
    ],
)
def test_block_counts_that_do_not_go_together_are_refused(model):
    with pytest.raises(UserError, match=r"model\.num_blocks"):
        plan_of(185, 330, **model)


@pytest.mark.parametrize(
    ("source", "max_size", "size"),
    [((188, 250), 32, (24, 32)), ((480, 854), 32, (24, 40)), ((250, 250), 32, (32, 32)), ((100, 1000), 32, (24, 240))],
)
def test_small_pictures_take_four_blocks_and_cells_of_eight(source, max_size, size):
    plan = plan_of(*source, max_size=max_size)
    assert (plan.height, plan.width) == size
    assert (plan.num_blocks_g, plan.num_blocks_d, plan.num_blocks_low_level) == (4, 4, 2)
    assert (plan.noise_height, plan.noise_width) == (size[0] // 8, size[1] // 8)


def test_block_counts_can_be_chosen():
    plan = plan_of(64, 64, num_blocks_g=6, num_blocks_d=5)
    assert (plan.height, plan.width, plan.noise_height) == (64, 64, 2)
    assert (plan.num_blocks_d, plan.num_blocks_low_level) == (5, 3)
