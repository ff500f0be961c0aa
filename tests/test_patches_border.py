"""The frame around pictures."""

import jax
import jax.numpy as jnp
import numpy as np

from siv_jax.patches import border, match


def test_the_frame_repeats_the_edge_and_marks_itself():
    picture = jnp.asarray(np.random.default_rng(0).random((2, 5, 6, 3), np.float32))
    framed = np.asarray(border.framed(picture))
    assert framed.shape == (2, 11, 12, 4)
    np.testing.assert_array_equal(framed[:, 0, 3:-3, :3], picture[:, 0])
    np.testing.assert_array_equal(framed[:, 3:-3, -1, :3], picture[:, :, -1])
    marked = framed[..., 3] > 0
    assert not marked[:, 3:-3, 3:-3].any() and marked.sum() == 2 * (11 * 12 - 5 * 6)
    np.testing.assert_array_equal(border.unframed(framed[1]), picture[1])


def test_in_a_constant_photo_borders_match_borders():
    framed = border.framed(jnp.zeros((1, 12, 14, 1)))
    field, d = jax.jit(match.exact)(match.patches(framed)[0], match.patches(framed), jnp.float32(1e3))
    row, column = np.asarray(field)[..., 1], np.asarray(field)[..., 2]
    np.testing.assert_allclose(d, 0, atol=1e-6)
    for k in range(3):
        assert (row[k] == k).all() and (row[-1 - k] == 11 - k).all()
        assert (column[:, k] == k).all() and (column[:, -1 - k] == 13 - k).all()
