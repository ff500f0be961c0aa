"""How far samples differ."""

import itertools
import math

import numpy as np
import pytest

from siv_jax.nn import spread


def images(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (count, 6, 8, 3)).astype(np.float32)


def rms(one, other) -> float:
    return math.sqrt(np.mean((one - other) ** 2))


def test_pairwise_rms_by_pairs():
    x = images(5)
    expected = np.mean([rms(x[i], x[j]) for i, j in itertools.combinations(range(5), 2)])
    assert float(spread.pairwise_rms(x)) == pytest.approx(expected, rel=1e-5)
    constants = np.array([-0.5, 0.5], np.float32)[:, None, None, None] * np.ones((1, 4, 4, 1), np.float32)
    assert float(spread.pairwise_rms(constants)) == pytest.approx(1.0)


def test_views_of_a_flat_picture_do_not_differ_and_contrast_scales():
    assert spread.of_views(np.full((1, 24, 32, 3), 90, np.uint8)) == pytest.approx(0, abs=1e-6)
    x = images(1).repeat(4, axis=1).repeat(4, axis=2)
    whole, half = spread.of_views(x), spread.of_views(x / 2)
    assert half == pytest.approx(whole / 2, rel=1e-4) and spread.of_views(x) == whole
    # uint8 frames are the same pictures.
    bytes_of = np.rint((x + 1) * 127.5).astype(np.uint8)
    assert spread.of_views(bytes_of) == pytest.approx(whole, rel=0.01)


def test_horizontal_stripes_differ_less_than_vertical_ones():
    """Views are shifted sideways only: a horizon stays where it is."""
    stripes = np.zeros((1, 24, 32, 3), np.float32)
    stripes[:, ::2] = 0.8
    assert spread.of_views(stripes) < spread.of_views(stripes[:, :, :24].transpose(0, 2, 1, 3))
