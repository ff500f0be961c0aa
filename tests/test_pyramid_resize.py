"""The resampler of SinGAN and ConSinGAN: borders, levels, sizes, and the same in numpy and under jit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from siv_jax.nn import pyramid_resize


def picture(levels: np.ndarray) -> np.ndarray:
    """Levels 0 to 255 in [-1, 1], as 8-bit files are read."""
    return (levels.astype(np.float32) / np.float32(255) - np.float32(0.5)) * np.float32(2)


def noise(height, width, channels=3, count=1):
    return np.random.default_rng(0).uniform(-1, 1, (count, height, width, channels)).astype(np.float32)


def test_levels_1_to_63_come_back_one_lower():
    levels = np.arange(256)
    found = pyramid_resize.quantised(picture(levels))
    np.testing.assert_array_equal(found, np.where((levels >= 1) & (levels <= 63), levels - 1, levels))
    np.testing.assert_array_equal(jax.jit(pyramid_resize.quantised)(picture(levels)), found)


def test_what_lies_outside_is_clamped_before_the_levels_and_after_the_cubic():
    images = np.full((1, 8, 8, 1), 1.7, np.float32)
    images[:, :, 4:] = -1.7
    found = pyramid_resize.by_factor(images, 1.5)
    assert found.min() == -1 and found.max() == 1


def test_borders_are_mirrored_at_the_end_and_left_out_at_the_start():
    found = pyramid_resize.weights(10, 14, 1.35, False)
    np.testing.assert_allclose(found[0, :3], [1.05383, -0.05383, 0], atol=1e-5)
    np.testing.assert_allclose(found[1, :4], [0.39064, 0.67877, -0.06941, 0], atol=1e-5)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-14)
    # 3 to 6, the last: 2.75 + .5 past the third pixel's centre; taps 2, 3, 3 (mirrored), 2 (mirrored) of the cubic.
    near, far = 1.5 * 0.25**3 - 2.5 * 0.25**2 + 1, -0.5 * 1.25**3 + 2.5 * 1.25**2 - 4 * 1.25 + 2
    after, last = 1.5 * 0.75**3 - 2.5 * 0.75**2 + 1, -0.5 * 1.75**3 + 2.5 * 1.75**2 - 4 * 1.75 + 2
    np.testing.assert_allclose(pyramid_resize.weights(3, 6, 2.0, False)[-1], [0, far + last, near + after], atol=1e-12)


def test_antialiasing_weighs_by_the_stretched_cubic():
    row = pyramid_resize.weights(64, 32, 0.5, True)[16]
    # Centre between pixels 32 and 33 (from 0), 8 pixels wide: distances .25, .75, 1.25, 1.75 on either side.
    distances = np.array([1.75, 1.25, 0.75, 0.25])
    far, near = distances[:2], distances[2:]
    half = np.concatenate([-0.5 * far**3 + 2.5 * far**2 - 4 * far + 2, 1.5 * near**3 - 2.5 * near**2 + 1])
    np.testing.assert_allclose(row[29:37], np.concatenate([half, half[::-1]]) / (2 * half.sum()), atol=1e-12)
    assert np.abs(row[:29]).max() == 0 and np.abs(row[37:]).max() == 0


def test_the_rows_decide_whether_to_antialias():
    images = noise(24, 24)
    rows_shrink = pyramid_resize.to_size(images, (12, 48))
    rows_grow = pyramid_resize.to_size(images, (48, 12))
    levels = pyramid_resize.quantised(images)[0, :, :, 0]
    for found, antialias in ((rows_shrink, True), (rows_grow, False)):
        rows, columns = found.shape[1:3]
        expected = (
            pyramid_resize.weights(24, rows, rows / 24, antialias)
            @ levels
            @ pyramid_resize.weights(24, columns, columns / 24, antialias).T
        )
        np.testing.assert_allclose(found[0, :, :, 0], np.clip(expected / 127.5 - 1, -1, 1), atol=1e-6)


@pytest.mark.parametrize("factor", [0.37, 0.799176, 1.0, 1.251, (0.6, 1.4)])
def test_jax_follows_numpy(factor):
    images = noise(21, 34, channels=5, count=2)
    expected = pyramid_resize.by_factor(images, factor)
    assert expected.dtype == np.float32 and expected.shape[1:3] == pyramid_resize.scaled_size(21, 34, factor)
    found = jax.jit(lambda images: pyramid_resize.by_factor(images, factor))(images)
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_a_factor_of_1_only_quantises():
    images = noise(9, 7)
    levels = pyramid_resize.quantised(images)
    np.testing.assert_allclose(pyramid_resize.by_factor(images, 1.0), levels / 127.5 - 1, atol=1e-6)
    np.testing.assert_allclose(pyramid_resize.to_size(images, (9, 7)), levels / 127.5 - 1, atol=1e-6)


def test_no_gradient_passes():
    slopes = jax.grad(lambda images: jnp.sum(pyramid_resize.by_factor(images, 1.3) ** 2))(jnp.asarray(noise(8, 8)))
    assert not slopes.any()
