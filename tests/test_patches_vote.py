"""Votes of overlapping patches."""

import jax.numpy as jnp
import numpy as np

from siv_jax.patches import vote


def test_votes_are_the_weighted_mean_of_the_patches_that_cover_a_pixel():
    rng = np.random.default_rng(0)
    photos = rng.random((2, 12, 11, 3)).astype(np.float32)
    field = rng.integers(0, [2, 6, 5], (4, 5, 3)).astype(np.int32)
    weight = rng.random((4, 5)).astype(np.float32)
    total, weights = np.zeros((10, 11, 3)), np.zeros((10, 11, 1))
    for y in range(4):
        for x in range(5):
            frame, row, column = field[y, x]
            patch = photos[frame, row : row + 7, column : column + 7]
            total[y : y + 7, x : x + 7] += weight[y, x] * patch
            weights[y : y + 7, x : x + 7] += weight[y, x]
    np.testing.assert_allclose(vote.vote(jnp.asarray(photos), jnp.asarray(field), weight), total / weights, rtol=1e-5)


def test_weights_fall_with_distance_and_stay_positive():
    d = jnp.linspace(0, 400, 42, dtype=jnp.float32).reshape(6, 7)
    found = np.asarray(vote.weights(d)).ravel()
    assert (np.diff(found) <= 0).all() and found[0] > 0.99 and found[-1] > 0
    np.testing.assert_allclose(found, np.asarray(vote.weights(d * 1e-3)).ravel(), rtol=1e-4)


def test_weights_where_everything_fits():
    np.testing.assert_allclose(vote.weights(jnp.zeros((3, 3))), 1, rtol=1e-5)
