import numpy as np
import pytest
import scipy.ndimage

from siv_jax.metrics import bootstrap, diversity
from siv_jax.metrics.ms_ssim import ms_ssim


def pictures(count: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth pictures with some noise, so that neither structure nor contrast is missing at any scale."""
    rng = np.random.default_rng(seed)
    smooth = scipy.ndimage.gaussian_filter(rng.standard_normal((count, height, width, 3)), (0, 6, 6, 0))
    smooth = smooth / np.abs(smooth).max() * 120 + rng.normal(128, 12, smooth.shape)
    return np.clip(np.rint(smooth), 0, 255).astype(np.uint8)


def gaussian_mean(x: np.ndarray, size: int) -> np.ndarray:
    taps = np.exp(-(((np.arange(size) - (size - 1) / 2) / (1.5 * size / 11)) ** 2) / 2)
    window = np.outer(taps, taps) / taps.sum() ** 2
    blocks = np.lib.stride_tricks.sliding_window_view(x, (size, size))
    return np.einsum("ijkl,kl->ij", blocks, window)


def by_definition(first: np.ndarray, second: np.ndarray) -> float:
    """MS-SSIM of one pair in float64, window by window."""
    weights = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
    channels = []
    for channel in range(3):
        x, y = first[..., channel].astype(np.float64), second[..., channel].astype(np.float64)
        product = 1.0
        for scale, weight in enumerate(weights):
            if scale:
                x, y = (halved(z) for z in (x, y))
            size = min(11, *x.shape)
            mx, my = gaussian_mean(x, size), gaussian_mean(y, size)
            vx, vy = gaussian_mean(x * x, size) - mx**2, gaussian_mean(y * y, size) - my**2
            covariance = gaussian_mean(x * y, size) - mx * my
            value = (2 * covariance + 58.5225) / (vx + vy + 58.5225)
            if scale == 4:
                value = value * (2 * mx * my + 6.5025) / (mx**2 + my**2 + 6.5025)
            product *= max(value.mean(), 0.0) ** weight
        channels.append(product)
    return float(np.mean(channels))


def halved(z: np.ndarray) -> np.ndarray:
    z = np.pad(z, ((0, z.shape[0] % 2), (0, z.shape[1] % 2)), mode="edge")
    return (z[::2, ::2] + z[1::2, ::2] + z[::2, 1::2] + z[1::2, 1::2]) / 4


@pytest.mark.parametrize(("height", "width"), [(161, 190), (64, 64), (75, 130)])
def test_ms_ssim_against_its_definition(height, width):
    images = pictures(4, height, width)
    images[1] = np.clip(images[0] * 0.7 + 20, 0, 255).astype(np.uint8)
    images[2] = images[0]
    found = ms_ssim(images)
    for i, j in [(0, 1), (0, 3), (1, 3)]:
        assert found[i, j] == pytest.approx(by_definition(images[i], images[j]), abs=1e-4)
    assert found[0, 2] == pytest.approx(1, abs=1e-6)
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_array_equal(np.diag(found), 1)


def test_ms_ssim_of_flat_pictures_is_their_luminance():
    flat = np.stack([np.full((176, 176, 3), level, np.uint8) for level in (50, 200)])
    luminance = (2 * 50 * 200 + 6.5025) / (50**2 + 200**2 + 6.5025)
    assert ms_ssim(flat)[0, 1] == pytest.approx(luminance**0.1333, abs=5e-5)


def test_ms_ssim_of_more_pairs_than_one_call_takes():
    images = pictures(13, 48, 50)
    found = ms_ssim(images)
    np.testing.assert_allclose(found[:3, :3], ms_ssim(images[:3]), atol=1e-6)
    np.testing.assert_allclose(found[10:, 10:], ms_ssim(images[10:]), atol=1e-6)


def test_unbiasing_known_values():
    assert diversity.unbiasing(2) == pytest.approx(0.7978845608)
    assert diversity.unbiasing(10) == pytest.approx(0.9726592741)
    assert diversity.unbiasing(1000) == pytest.approx(1 - 1 / (4 * 1000), abs=1e-6)


@pytest.mark.parametrize("count", [2, 5, 40])
def test_pixel_map_recovers_a_known_deviation(count):
    """Whatever the number of samples: that is what c4 is for."""
    values = np.random.default_rng(0).normal(128, 20, (count, 150, 150, 1))
    fakes = np.clip(np.rint(values), 0, 255).astype(np.uint8).repeat(3, axis=-1)
    assert diversity.pixel_map(fakes).mean() == pytest.approx(20, rel=0.01)


def test_pixel_diversity_by_hand():
    reals = np.zeros((1, 2, 2, 3), np.uint8)
    reals[0, 0] = (90, 100, 110)  # gray 100 and 0: sd 50
    fakes = np.stack([np.full((2, 2, 3), level, np.uint8) for level in (100, 120)])
    expected = np.std([100, 120], ddof=1) / np.sqrt(2 / np.pi) / 50
    assert diversity.pixel_diversity(fakes, reals) == pytest.approx(expected)
    assert diversity.pixel_diversity(fakes[:1], reals) is None
    assert diversity.pixel_diversity(fakes, fakes[:1]) is None  # training image of one colour
    assert diversity.pixel_diversity(fakes[[0, 0]], reals) == 0


def test_mean_of_pairs():
    matrix = np.array([[0, 1, 2], [1, 0, 6], [2, 6, 0]], np.float32)
    assert diversity.mean_of_pairs(matrix) == 3


def test_intervals_cover_the_truth_as_often_as_they_say():
    """400 data sets of known mean, deviation and mean pair distance; 95% intervals of 30 samples."""
    rng = np.random.default_rng(0)
    hits = np.zeros(3)
    for _ in range(400):
        values = rng.normal(0, 1, (30, 4)).astype(np.float32)
        pairs = (values[:, None, 0] - values[None, :, 0]) ** 2  # 2 on average
        deviations = values.std(axis=0, ddof=1).mean() / diversity.unbiasing(30)
        low, high = bootstrap.of_deviation(values, 0)
        for row, (truth, interval) in enumerate(
            [
                (0.0, bootstrap.of_mean(values[:, 0], 0)),
                (2.0, bootstrap.of_pairs(pairs, 0)),
                (1.0, (low * deviations, high * deviations)),
            ]
        ):
            hits[row] += interval[0] <= truth <= interval[1]
    assert (hits / 400 > 0.87).all() and (hits / 400 < 0.98).all(), hits / 400


def test_interval_of_a_mean_is_the_normal_one():
    values = np.random.default_rng(1).normal(5, 2, 400)
    low, high = bootstrap.of_mean(values, 0)
    error = values.std() / 20
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.2 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.2 * error)
    assert bootstrap.of_mean(values, 0) == (low, high) and bootstrap.of_mean(values, 1) != (low, high)


def test_too_few_samples_have_no_interval():
    assert bootstrap.of_mean(np.arange(4.0), 0) is None
    assert bootstrap.of_pairs(np.ones((4, 4)), 0) is None
    assert bootstrap.of_deviation(np.ones((4, 2)), 0) is None
    assert bootstrap.of_deviation(np.ones((6, 2)), 0) is None  # no spread to take multiples of
