"""Sizes of the levels of a rendering, and resizing."""

import itertools

import numpy as np
import pytest

from siv_jax.errors import UserError
from siv_jax.patches import pyramid


def levels(size, photo=None, scale=1.0, start=28.0, ratio=0.75):
    return pyramid.level_sizes(size, photo or size, scale=scale, start=start, ratio=ratio)


@pytest.mark.parametrize("size", [(188, 250), (1728, 2304), (50, 500), (201, 20), (7, 7), (9, 90), (30, 31)])
def test_levels_rise_to_the_size_by_the_ratio(size):
    found = levels(size)
    assert found[-1] == (size, size)
    for coarse, fine in itertools.pairwise(found):
        for a, b in zip(coarse.output, fine.output, strict=True):
            assert 7 <= a <= b
            assert a + 1 >= 0.75 * b - 1
    sides = found[0].output
    assert min(sides) in (7, 8) or abs(np.sqrt(sides[0] * sides[1]) - 28) < 1


def test_one_factor_for_both_pictures():
    for level in levels((100, 400), (300, 400), scale=1 / 3):
        assert abs(level.output[0] - level.photo[0]) <= 1
        assert abs(level.photo[1] / level.photo[0] - 4 / 3) < 0.1
        assert abs(level.output[1] / level.output[0] - 4) < 0.3


@pytest.mark.parametrize(("size", "photo"), [((6, 100), (100, 100)), ((100, 100), (5, 90))])
def test_smaller_than_a_patch_is_refused(size, photo):
    with pytest.raises(UserError, match="at least 7 on each side"):
        levels(size, photo)


def test_resizing_stays_within_each_channels_range():
    rng = np.random.default_rng(0)
    picture = rng.choice(np.float32([-1, 1]), (2, 20, 30, 3)) * np.float32([1, 0.5, 0.25])
    for size in [(9, 13), (40, 61)]:
        found = pyramid.resize(picture, size)
        assert found.shape == (2, *size, 3) and found.dtype == np.float32
        assert (np.abs(found) <= [1, 0.5, 0.25]).all()


def test_reduction_is_antialiased():
    stripes = np.tile(np.array([0.0, 1.0], np.float32), 32)[None, None, :, None].repeat(64, axis=1)
    np.testing.assert_allclose(pyramid.resize(stripes, (16, 16))[0, :, 2:-2], 0.5, atol=0.02)


def test_labels_are_read_at_the_centres():
    masks = np.arange(6)[None, None, :].repeat(4, axis=1)
    assert pyramid.resize_labels(masks, (2, 3)).tolist() == [[[1, 3, 5], [1, 3, 5]]]
    assert pyramid.resize_labels(masks, (1, 12))[0, 0].tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
