import numpy as np
import pytest
import scipy.ndimage

from siv_jax.metrics import nearest


def plain_vectors(images: np.ndarray) -> np.ndarray:
    """Mean squared pixel difference instead of LPIPS: the search does not depend on the network."""
    return images.reshape(len(images), -1).astype(np.float32) / np.float32(255 * np.sqrt(images[0].size))


@pytest.fixture(scope="module")
def reals() -> np.ndarray:
    noise = np.random.default_rng(0).standard_normal((3, 48, 64, 3))
    smooth = scipy.ndimage.gaussian_filter(noise, (0, 4, 4, 0))
    return np.clip(128 + smooth / smooth.std() * 50, 0, 255).astype(np.uint8)


def test_copies_and_flips_are_found(reals):
    noise = np.random.default_rng(1).integers(0, 256, reals[0].shape, np.uint8)
    fakes = np.stack([reals[2], reals[1, :, ::-1], noise])
    found = nearest.nearest(plain_vectors(fakes), reals, 0, plain_vectors)
    assert found.distance[:2].max() == 0 < 0.01 < found.distance[2]
    assert found.image.tolist()[:2] == [2, 1] and found.plain.tolist()[:2] == [True, False]
    np.testing.assert_array_equal(found.views[:2], fakes[:2])
    again = plain_vectors(found.views)
    exact = ((plain_vectors(fakes) - again) ** 2).sum(1)
    np.testing.assert_allclose(found.distance, exact, atol=1e-6)


def test_views_are_fixed_by_the_seed(reals):
    vectors = plain_vectors(reals[:2] // 2 + 40)
    first, again, other = (nearest.nearest(vectors, reals[:1], seed, plain_vectors).distance for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_threshold_is_the_crop_of_95_percent(reals):
    values = []
    for real in reals:
        # The same crop by another library: pixel i of the copy shows position c + .95 (i - c).
        height, width = real.shape[:2]
        y, x = (0.95 * (np.arange(side) - (side - 1) / 2) + (side - 1) / 2 for side in (height, width))
        grid = np.meshgrid(y, x, indexing="ij")
        crop = [scipy.ndimage.map_coordinates(real[..., c].astype(float), grid, order=1) for c in range(3)]
        values.append((((np.stack(crop, -1) - real) / 255) ** 2).mean())
    assert nearest.copy_threshold(reals, plain_vectors) == pytest.approx(np.mean(values), rel=0.01)


def test_threshold_of_a_flat_image_is_zero():
    flat = np.full((1, 48, 48, 3), 90, np.uint8)
    assert nearest.copy_threshold(flat, plain_vectors) == 0
