"""DiffAugment against its definition, pixel by pixel."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from siv_jax.nn import diff_augment
from siv_jax.nn.diff_augment import UNIFORMS, augment

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(-1, 1, (3, 9, 16, 3)).astype(np.float32)


def test_translation_by_the_definition():
    rows, columns = np.int32([-1, 1, 0]), np.int32([2, -2, 1])
    found = diff_augment.translation(IMAGES, rows, columns)
    for b, r, c in np.ndindex(3, 9, 16):
        row, column = r + rows[b], c + columns[b]
        inside = 0 <= row < 9 and 0 <= column < 16
        np.testing.assert_array_equal(found[b, r, c], IMAGES[b, row, column] if inside else 0)


def test_cutout_by_the_definition():
    rows, columns = np.int32([0, 4, 8]), np.int32([16, 0, 7])
    found = diff_augment.cutout(IMAGES, rows, columns)
    for b, r, c in np.ndindex(3, 9, 16):
        # 5 of 9 rows from two before the row, 8 of 16 columns from four before the column.
        cut = rows[b] - 2 <= r < rows[b] + 3 and columns[b] - 4 <= c < columns[b] + 4
        np.testing.assert_array_equal(found[b, r, c], 0 if cut else IMAGES[b, r, c])


def test_draws_reach_every_shift_and_no_further():
    uniform = np.full((64, UNIFORMS), 0.5, np.float32)
    uniform[:, 3] = uniform[:, 4] = np.linspace(0, 1, 64, endpoint=False)
    corner = np.zeros((64, 16, 24, 1), np.float32)
    corner[:, 8, 12] = 1
    places = np.argwhere(augment(uniform, corner, "translation")[..., 0])
    assert set(places[:, 1]) == set(range(6, 11)) and set(places[:, 2]) == set(range(9, 16))


def test_the_neutral_colour_changes_nothing_and_the_policy_chooses():
    uniform = np.tile(np.float32([0.5, 0.5, 0.5, 0, 0, 0, 0]), (3, 1))
    np.testing.assert_allclose(augment(uniform, IMAGES, "color"), IMAGES, atol=1e-6)
    assert augment(uniform, IMAGES, "") is IMAGES
    uniform[:, :3] = 0.9
    colour = augment(uniform, IMAGES, "color")
    np.testing.assert_array_equal(
        augment(uniform, IMAGES, "color,translation"), augment(uniform, colour, "translation")
    )


@pytest.mark.parametrize("policy", ["color", "translation", "cutout", "color,translation,cutout"])
def test_gradients_reach_the_images(policy):
    """All changes are linear in the images: the gradient of a sum along a direction is that direction's change."""
    uniform, direction = RNG.random((3, UNIFORMS), np.float32), RNG.standard_normal(IMAGES.shape).astype(np.float32)

    def value(images):
        return jnp.sum(augment(uniform, images, policy) * IMAGES)

    slope = np.sum(jax.grad(value)(IMAGES) * direction)
    assert slope == pytest.approx(float(value(IMAGES + direction) - value(IMAGES)), rel=1e-3, abs=1e-2)
