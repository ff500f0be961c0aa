"""The differentiable warp: exact cases, agreement across scales, gradients, and what is drawn how often."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from siv_jax.models.siv_gan import objectives
from siv_jax.nn import image_augment as augment

RNG = np.random.default_rng(0)
warp = jax.jit(augment.warp)
draw = jax.jit(augment.draw, static_argnums=(1, 2, 3))


def noise(batch: int, height: int, width: int, channels: int = 3) -> np.ndarray:
    return RNG.uniform(-1, 1, (batch, height, width, channels)).astype(np.float32)


def smooth(batch: int, height: int, width: int) -> np.ndarray:
    """Slow waves, which halving changes little: the same function of place at any size."""
    y = ((np.arange(height) + 0.5) / height)[:, None, None]
    x = ((np.arange(width) + 0.5) / width)[None, :, None]
    # Even around every edge, as reflection continues them.
    waves = [np.cos(np.pi * (k % 3) * y) * np.cos(np.pi * (1 + k % 2) * x) for k in range(batch)]
    return np.stack(waves).astype(np.float32)


def maps_of(linear, shift, batch: int = 1) -> np.ndarray:
    made = np.concatenate([np.asarray(linear, np.float32), np.asarray(shift, np.float32)[:, None]], axis=1)
    return np.tile(made, (batch, 1, 1))


def random_maps(count: int, height: int, width: int, probability: float = 0.7, translate: bool = True) -> np.ndarray:
    uniform = np.random.default_rng(0).random((count, augment.UNIFORMS)).astype(np.float32)
    if not translate:
        uniform[:, 1:3] = 0.999  # these decide on translations
    return np.asarray(draw(uniform, probability, height, width))


@pytest.mark.parametrize("size", [(8, 8), (7, 12), (48, 64), (1, 5), (2, 2)])
def test_the_identity_is_exact(size):
    images = noise(3, *size)
    np.testing.assert_array_equal(warp(images, augment.identity(3)), images)


@pytest.mark.parametrize("size", [(8, 8), (7, 12), (48, 64)])
def test_a_flip_is_exact_and_twice_is_itself(size):
    images = noise(2, *size)
    flip = maps_of([[-1, 0], [0, 1]], [0, 0], 2)
    once = warp(images, flip)
    np.testing.assert_array_equal(once, images[:, :, ::-1])
    np.testing.assert_array_equal(warp(once, flip), images)


@pytest.mark.parametrize("rows, columns", [(3, 0), (0, -2), (-4, 5), (7, 7)])
def test_a_shift_by_pixels_shows_reflected_content_at_the_border(rows, columns):
    height, width = 16, 32
    images = noise(1, height, width)
    maps = maps_of([[1, 0], [0, 1]], [2 * columns / width, 2 * rows / height])
    around = np.pad(images, ((0, 0), (8, 8), (8, 8), (0, 0)), mode="symmetric")
    expected = around[:, 8 + rows : 8 + rows + height, 8 + columns : 8 + columns + width]
    np.testing.assert_allclose(warp(images, maps), expected, atol=1e-6)


def test_a_half_window_is_bilinear_between_pixel_centres():
    ramp = np.arange(16, dtype=np.float32)[None, None, :, None] * np.ones((1, 4, 1, 1), np.float32)
    maps = maps_of([[0.5, 0], [0, 0.5]], [0, 0])
    expected = 7.5 + (np.arange(16) - 7.5) / 2
    np.testing.assert_allclose(warp(ramp, maps)[0, 1, :, 0], expected, atol=1e-5)


def test_all_scales_of_a_sample_go_through_one_transform():
    """Warped and then halved is halved and then warped; that the maps do something is seen beside it."""
    height, width, count = 64, 96, 64
    maps = random_maps(count, height, width, probability=1.0)
    images = smooth(count, height, width)
    fine = np.asarray(warp(images, maps))
    halved = np.asarray(objectives.pyramid(jnp.asarray(fine), 3)[0])
    coarse = np.asarray(warp(np.asarray(objectives.pyramid(jnp.asarray(images), 3)[0]), maps))
    assert np.abs(halved - coarse).max() < 0.06
    assert np.abs(halved - coarse).mean() < 0.006
    assert np.abs(fine - images).mean() > 0.2


def test_augment_warps_every_scale_with_the_same_draw():
    uniform = RNG.random((2, augment.UNIFORMS)).astype(np.float32)
    images = [smooth(2, 16, 24), smooth(2, 32, 48), smooth(2, 64, 96)]
    warped = jax.jit(objectives.augment, static_argnums=2)(uniform, images, 1.0)
    maps = draw(uniform, 1.0, 64, 96)
    for ours, image in zip(warped, images, strict=True):
        np.testing.assert_allclose(ours, warp(image, maps), atol=1e-5)
    assert objectives.augment(uniform, images, 0.0) is images


def test_what_is_shown_stays_between_the_pictures_extremes_for_any_map():
    """Positions are folded back into the picture, so nothing is read from outside it."""
    images = noise(64, 24, 40) * 0.5 + 0.25
    maps = RNG.normal(size=(64, 2, 3)).astype(np.float32) * 50
    shown = np.asarray(warp(images, maps))
    assert np.isfinite(shown).all()
    for image, result in zip(images, shown, strict=True):
        assert image.min() - 1e-6 <= result.min() and result.max() <= image.max() + 1e-6
    np.testing.assert_allclose(warp(np.ones((64, 24, 40, 1), np.float32), maps), 1.0, atol=1e-6)


def test_gradients_are_finite_and_those_of_a_linear_map():
    """<warp(d), c> = <d, gradient of <warp(x), c>> for any d, and the gradient's mass is the cotangent's."""
    count, height, width = 16, 24, 32
    maps = random_maps(count, height, width)
    images, direction, cotangent = (noise(count, height, width) for _ in range(3))
    gradient = np.asarray(jax.jit(jax.grad(lambda x: jnp.sum(augment.warp(x, maps) * cotangent)))(images))
    assert np.isfinite(gradient).all()
    along = np.sum(np.float64(warp(direction, maps)) * cotangent, axis=(1, 2, 3))
    np.testing.assert_allclose(np.sum(np.float64(gradient) * direction, axis=(1, 2, 3)), along, atol=2e-3)
    np.testing.assert_allclose(gradient.sum((1, 2)), cotangent.sum((1, 2)), atol=1e-3)
    step_size = np.float32(0.5)
    ahead, behind = (np.float64(warp(images + s * direction, maps)) for s in (step_size, -step_size))
    numeric = np.sum((ahead - behind) / (2 * step_size) * cotangent, axis=(1, 2, 3))
    np.testing.assert_allclose(numeric, along, atol=5e-3)


# What the drawn maps do, told from the maps alone.
COUNT = 20_000
CLOSE = 0.015  # 4 standard deviations of a share of COUNT


class Drawn:
    def __init__(self, height: int, width: int, translate: bool = True):
        self.maps = np.float64(random_maps(COUNT, height, width, translate=translate))
        self.linear, self.shift = self.maps[:, :, :2], self.maps[:, :, 2]
        determinant = np.linalg.det(self.linear)
        self.flipped = determinant < 0
        self.area = np.abs(determinant)
        # Crops and rotations of squares keep more than half of the area, the 2x zoom a quarter at most.
        self.zoomed = self.area < 0.5
        self.rotated = np.abs(self.linear[:, 0, 1]) > 1e-7
        window = self.area * np.where(self.zoomed, 4.0, 1.0)
        self.side = np.sqrt(window)
        self.cropped = ~self.rotated & (window < 1 - 1e-6)


@pytest.fixture(scope="module")
def drawn() -> Drawn:
    return Drawn(64, 64)


def test_each_transform_happens_as_often_as_the_method_says(drawn):
    assert abs(drawn.flipped.mean() - 0.7) < CLOSE
    assert abs(drawn.zoomed.mean() - 0.35) < CLOSE
    assert abs(drawn.rotated.mean() - 0.35) < CLOSE
    assert abs(drawn.cropped.mean() - 0.35) < CLOSE
    still = ~drawn.zoomed & ~drawn.rotated & ~drawn.cropped
    for axis in (0, 1):
        assert abs((np.abs(drawn.shift[still, axis]) > 1e-6).mean() - 0.7) < 2 * CLOSE
    untouched = np.abs(drawn.maps - np.eye(2, 3)).max((1, 2)) < 1e-6
    assert abs(untouched.mean() - 0.3**4 * 0.65) < 0.003


def test_the_transforms_are_independent(drawn):
    happens = [drawn.flipped, drawn.zoomed, drawn.rotated, drawn.cropped]
    table = np.corrcoef(np.stack(happens).astype(float))
    # Rotation and crop exclude each other; all else is independent.
    expected = np.eye(4)
    expected[2, 3] = expected[3, 2] = -0.35 * 0.35 / (0.35 * 0.65)
    assert np.abs(table - expected).max() < 0.05


def test_translations_are_5_to_30_percent_to_all_sides(drawn):
    still = ~drawn.zoomed & ~drawn.rotated & ~drawn.cropped
    for axis in (0, 1):
        shift = drawn.shift[still, axis] / 2  # the picture is 2 units wide
        moved = shift[np.abs(shift) > 1e-6]
        assert np.abs(moved).min() >= 0.05 - 1e-6 and np.abs(moved).max() <= 0.30 + 1e-6
        assert np.abs(moved).min() < 0.06 and np.abs(moved).max() > 0.29
        assert 0.45 < (moved > 0).mean() < 0.55


def test_crops_show_75_to_100_percent_somewhere_inside(drawn):
    side = drawn.side[drawn.cropped]
    assert 0.75 - 1e-6 <= side.min() < 0.76 and 0.99 < side.max() <= 1
    assert abs(side.mean() - 0.875) < 0.005


def test_the_zoom_shows_half_of_each_side(drawn):
    plain = drawn.zoomed & ~drawn.rotated & ~drawn.cropped
    np.testing.assert_allclose(drawn.side[plain], 1.0, atol=1e-6)
    np.testing.assert_allclose(np.abs(drawn.linear[plain, 1, 1]), 0.5, atol=1e-6)


@pytest.mark.parametrize("size", [(64, 64), (48, 96), (192, 64)])
def test_windows_and_rotations_stay_inside_the_picture(size):
    """Without a translation every output position shows a place of the picture, corners of rotations included."""
    height, width = size
    drawn = Drawn(height, width, translate=False)
    corners = np.array([[x, y, 1.0] for x in (-1, 1) for y in (-1, 1)])
    places = np.einsum("nij,kj->nki", drawn.maps, corners)
    assert np.abs(drawn.shift[~drawn.zoomed & ~drawn.cropped]).max() == 0, "no translation was drawn"
    assert np.abs(places).max() <= 1 + 1e-5
    zoomed = places[drawn.zoomed].mean(1)
    assert zoomed.min() < -0.45 and zoomed.max() > 0.45, "windows reach every side"
    pixels = np.diag([width / 2, height / 2])
    turned = np.flatnonzero(drawn.rotated & ~drawn.zoomed)[:300]
    angles = []
    for linear, at in zip(drawn.linear[turned], places[turned], strict=True):
        in_pixels = pixels @ np.diag([np.sign(np.linalg.det(linear)), 1.0]) @ linear @ np.linalg.inv(pixels)
        rotation = in_pixels / np.sqrt(np.linalg.det(in_pixels))
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(2), atol=1e-5)
        angles.append(np.degrees(np.arctan2(rotation[1, 0], rotation[0, 0])))
        # The largest view that hides the corners: one of them touches the picture's edge.
        assert abs(np.abs(at).max() - 1) < 1e-5
    assert len(angles) == 300 and -8 - 1e-4 <= min(angles) < -7.5 and 7.5 < max(angles) <= 8 + 1e-4


def test_probability_zero_changes_nothing():
    maps = random_maps(100, 48, 64, probability=0.0)
    np.testing.assert_array_equal(maps, np.tile(np.eye(2, 3, dtype=np.float32), (100, 1, 1)))
