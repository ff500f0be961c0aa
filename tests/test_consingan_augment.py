"""What harmonization and editing do to the picture at the first stage."""

import colorsys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from siv_jax.models.consingan import color_augment, tile_shuffle

RNG = np.random.default_rng(0)
LEVELS = RNG.integers(0, 256, (7, 9, 3)).astype(np.float32)
NORMAL = RNG.standard_normal((7, 9, 3)).astype(np.float32)


def changed(kind: str, uniform: float = 0.0, levels: np.ndarray = LEVELS) -> np.ndarray:
    change = jax.jit(color_augment.CHANGES[kind])
    return np.asarray(change(jnp.full(12, uniform, jnp.float32), NORMAL[: levels.shape[0], : levels.shape[1]], levels))


def test_hue_saturation_and_value_are_colorsys():
    expected = np.array([[colorsys.rgb_to_hsv(*(pixel / 255)) for pixel in row] for row in LEVELS.astype(np.float64)])
    hsv = np.asarray(color_augment.rgb_to_hsv(jnp.asarray(LEVELS)))
    np.testing.assert_allclose(hsv, expected * [180, 255, 255], atol=1e-3)
    np.testing.assert_allclose(color_augment.hsv_to_rgb(jnp.asarray(hsv)), LEVELS, atol=1e-3)
    gray = np.full((1, 1, 3), 77, np.float32)
    np.testing.assert_array_equal(color_augment.rgb_to_hsv(jnp.asarray(gray))[0, 0], [0, 0, 77])


def test_changes_of_colour():
    np.testing.assert_array_equal(changed("invert"), 255 - LEVELS)
    np.testing.assert_allclose(
        changed("sepia", levels=np.full((1, 1, 3), 100, np.float32))[0, 0], [135.1, 120.3, 93.7], rtol=1e-5
    )
    for uniform, channel in ((0.0, 0), (0.5, 1), (0.99, 2)):
        dropped = changed("drop", uniform)
        assert not dropped[..., channel].any()
        np.testing.assert_array_equal(np.delete(dropped, channel, -1), np.delete(LEVELS, channel, -1))
    uniform = jnp.array([0.7, 0.1, 0.5] + [0.0] * 9, jnp.float32)
    shuffled = color_augment.CHANGES["shuffle"](uniform, NORMAL, LEVELS)
    np.testing.assert_array_equal(shuffled, LEVELS[..., [1, 2, 0]])
    np.testing.assert_allclose(changed("hue", 0.5), LEVELS, atol=1e-3)  # half way: nothing moves
    gray = changed("hue", 0.75, np.full((1, 1, 3), 100, np.float32))  # saturation +15, value +10
    assert gray.max() == pytest.approx(110) and gray.min() == pytest.approx(110 * (1 - 15 / 255))


def test_noises():
    share = changed("multiply") / LEVELS.clip(1)
    assert share[LEVELS > 0].min() >= 0.5 and share[LEVELS > 0].max() <= 1.5 and np.std(share[LEVELS > 0]) > 0.2
    gray = changed("gray_noise", 1.0) - LEVELS
    np.testing.assert_allclose(gray, np.broadcast_to(0.05 * 255 * NORMAL[..., :1], gray.shape), atol=1e-3)
    np.testing.assert_allclose(changed("color_noise", 0.0) - LEVELS, np.sqrt(10) * NORMAL, atol=1e-3)


@pytest.mark.parametrize(("first", "holes", "side"), [(0.0, 1, 30), (0.9, 2, 14)])
def test_holes(first, holes, side):
    # The least sides; reach is half of them, rounded down. Centres far from the borders and from each other.
    uniform = jnp.array([first, 0, 0, 0.0, 0.5, 1 - 1e-6, 0.25, 0.25, 0.7, 0.7, 0, 0, 0, 0, 0], jnp.float32)
    found = np.asarray(color_augment.cutout(uniform, jnp.full((100, 120, 3), 300.0)))
    hole = (found != 300).all(-1)
    assert hole.sum() == holes * side**2
    np.testing.assert_array_equal(found[hole], np.broadcast_to([0, 128, 255], (hole.sum(), 3)))
    rows, columns = np.nonzero(hole)
    assert rows.min() == 25 - side // 2 and columns.min() == 30 - side // 2


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_how_often_pictures_are_changed(channels):
    count, normal = 2000, np.zeros((16, 16, channels), np.float32)
    picture = np.tile(np.linspace(-0.9, 0.9, 16, dtype=np.float32)[:, None, None], (1, 16, channels))
    picture = picture * np.linspace(0.5, 1, channels, dtype=np.float32)
    uniform = np.random.default_rng(1).random((count, color_augment.UNIFORMS)).astype(np.float32)
    found = np.asarray(jax.jit(jax.vmap(color_augment.augment, (0, None, None)))(uniform, normal, picture))
    assert found.min() >= -1 and found.max() <= 1 + 1e-6 and np.isfinite(found).all()
    uncut = found[uniform[:, 14] >= 0.9]
    alike = np.abs(uncut - picture).max(axis=(1, 2, 3)) < 1e-5
    assert abs(len(uncut) / count - 0.1) < 0.03
    # Without noise the changes that add some change nothing; nor does the exchange of a single channel.
    assert 0.7 < alike.mean() < 0.95


def test_tiles_stay_within_their_limits():
    height, width = 40, 63
    uniform = np.random.default_rng(0).random((500, tile_shuffle.UNIFORMS)).astype(np.float32)
    tiles = jax.jit(jax.vmap(lambda one: tile_shuffle.draw(one, height, width)))(uniform)
    assert set(np.unique(tiles.count)) == {1, 2, 3, 4, 5}
    sizes, shifts = tile_shuffle.limits(height, width)
    for which, bounds in (("size", sizes), ("shift", shifts)):
        for count in range(1, 6):
            found = np.asarray(getattr(tiles, which))[np.asarray(tiles.count) == count]
            np.testing.assert_array_equal(found.min((0, 1)), bounds[count - 1, 0])
            np.testing.assert_array_equal(found.max((0, 1)), bounds[count - 1, 1])
    assert np.asarray(tiles.corner).min() == 0
    np.testing.assert_array_equal(np.asarray(tiles.corner).max((0, 1)), [height, width])  # where a tile is empty


def test_tiles_are_laid_over_the_picture():
    picture = np.arange(10 * 12 * 2, dtype=np.float32).reshape(10, 12, 2)
    rng, shuffle = np.random.default_rng(2), jax.jit(tile_shuffle.shuffle)
    for _ in range(30):
        count = int(rng.integers(1, 6))
        corner, size, shift = (rng.integers(0, high, (5, 2)).astype(np.int32) for high in ((11, 13), (6, 6), (5, 5)))
        forward = rng.random(5) > 0.5
        expected = picture.copy()
        for i in range(count):
            top, left = corner[i]
            tile = picture[top : top + size[i, 0], left : left + size[i, 1]]
            room = np.array(picture.shape[:2]) - corner[i] - tile.shape[:2]
            move = np.minimum(shift[i], room) if forward[i] else -np.minimum(shift[i], corner[i])
            top, left = corner[i] + move
            expected[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
        tiles = tile_shuffle.Tiles(np.int32(count), corner, size, shift, forward)
        np.testing.assert_array_equal(shuffle(picture, tiles), expected)
