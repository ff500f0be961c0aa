"""Properties of the whole rendering."""

import numpy as np
import pytest

from siv_jax.errors import UserError
from siv_jax.patches import pyramid, render
from siv_jax.patches.render import Renderer, Settings

FAST = Settings(exact_pairs=1, ratio=0.6)
EXACT = Settings(exact_pairs=2**40, ratio=0.5)  # few levels: most of the time of these tests is compilation


def photo_of(height: int = 40, width: int = 52, channels: int = 3, frames: int = 1, seed: int = 0) -> np.ndarray:
    """Smooth random colours with some texture, within [-1, 1]."""
    rng = np.random.default_rng(seed)
    large = pyramid.resize(rng.uniform(-1, 1, (frames, 5, 6, channels)).astype(np.float32), (height, width))
    return np.clip(large + rng.normal(0, 0.1, large.shape), -0.9, 0.8).astype(np.float32)


def rough_of(count: int = 2, channels: int = 3, seed: int = 1) -> np.ndarray:
    return photo_of(18, 24, channels, count, seed)


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return photo_of()


@pytest.fixture(scope="module")
def renderer(photo: np.ndarray) -> Renderer:
    """Exact at its coarsest level only, so that both searches take part."""
    return Renderer(photo, (40, 52), rough_size=(18, 24), settings=FAST)


@pytest.fixture(scope="module")
def rendered(renderer: Renderer) -> np.ndarray:
    return renderer(rough_of())


@pytest.mark.parametrize("settings", [FAST, EXACT])
def test_its_own_downsized_copy_becomes_the_photo(photo, settings):
    renderer = Renderer(photo, (40, 52), rough_size=(18, 24), settings=settings)
    error = np.mean((renderer(pyramid.resize(photo, (18, 24)))[0] - photo[0]) ** 2) / 4
    assert -10 * np.log10(error) > 40


def test_rendered_pictures_differ_and_have_the_photos_detail(photo, rendered):
    assert rendered.shape == (2, 40, 52, 3) and rendered.dtype == np.float32
    assert np.abs(rendered[0] - rendered[1]).mean() > 0.1
    detail = [np.abs(np.diff(pictures, axis=2)).mean() for pictures in (photo, rendered)]
    assert 0.6 < detail[1] / detail[0] < 1.4


def test_colours_lie_within_the_photos_range(photo, rendered):
    assert (rendered >= photo.min((0, 1, 2))).all() and (rendered <= photo.max((0, 1, 2))).all()


def test_the_same_picture_alone_and_in_a_batch_and_again(photo, renderer, rendered):
    np.testing.assert_array_equal(renderer(rough_of()[1:])[0], rendered[1])
    again = Renderer(photo, (40, 52), rough_size=(18, 24), settings=FAST)
    np.testing.assert_array_equal(again(rough_of()), rendered)


def test_fidelity_brings_more_of_the_photo_into_use(photo):
    """A rough picture of one colour: without completeness it shows one place of the photo, with it many."""
    rough = np.full((1, 18, 24, 3), photo.mean(), np.float32)
    spread = [Renderer(photo, (18, 24), rough_size=(18, 24), fidelity=f)(rough).std() for f in (-2, 4)]
    assert spread[1] > 1.3 * spread[0]


def test_a_constant_photo():
    photo = np.full((1, 20, 26, 3), 0.25, np.float32)
    found = Renderer(photo, (40, 52), rough_size=(18, 24), settings=FAST)(rough_of(1))
    np.testing.assert_allclose(found, 0.25, atol=1e-6)


@pytest.mark.parametrize(("size", "rough_size"), [((33, 47), (9, 13)), ((7, 8), (20, 20)), ((9, 60), (3, 20))])
def test_odd_tiny_and_narrow_sizes(size, rough_size):
    rough = np.random.default_rng(2).uniform(-1, 1, (1, *rough_size, 1)).astype(np.float32)
    found = Renderer(photo_of(*size, channels=1), size, rough_size=rough_size, settings=EXACT)(rough)
    assert found.shape == (1, *size, 1) and np.isfinite(found).all()


def test_another_aspect_keeps_the_photos_scale():
    """Stripes 4 pixels apart stay 4 apart in a picture three times as wide, though its rough query has none."""
    stripes = np.tile(np.float32([-1, -1, 1, 1]), 10)[None, None, :, None].repeat(24, axis=1)
    renderer = Renderer(stripes, (24, 120), rough_size=(12, 60), settings=EXACT)
    assert all(abs(level.photo[1] / level.photo[0] - 40 / 24) < 0.15 for level in renderer.levels)
    found = renderer(np.zeros((1, 12, 60, 1), np.float32))[0, 12, :, 0]
    spectrum = np.abs(np.fft.rfft(found - found.mean()))
    assert abs(spectrum.argmax() - 30) <= 1


@pytest.mark.parametrize(("channels", "settings"), [(1, EXACT), (2, EXACT), (8, FAST)])
def test_arrays_of_other_channels(channels, settings):
    photo = photo_of(18, 24, channels)
    found = Renderer(photo, (24, 32), rough_size=(18, 24), settings=settings)(rough_of(1, channels))
    assert found.shape == (1, 24, 32, channels)
    assert (found >= photo.min((0, 1, 2))).all() and (found <= photo.max((0, 1, 2))).all()


def test_patches_come_from_the_nearest_frame():
    frames = np.concatenate([photo_of(24, 30, seed=5) * 0.2 + shift for shift in (-0.7, -0.35, 0.0, 0.35, 0.7)])
    frames = frames.astype(np.float32)
    renderer = Renderer(frames, (24, 30), rough_size=(18, 24), settings=EXACT)
    assert renderer.frames == 1
    found = renderer(pyramid.resize(frames, (18, 24)))
    np.testing.assert_allclose(found, frames, atol=0.02)
    few = frames[::2]
    everything = Renderer(few, (24, 30), rough_size=(18, 24), settings=EXACT)
    assert everything.frames == 3
    assert (renderer.with_matches(pyramid.resize(frames, (18, 24)))[1][..., 0] == np.arange(5)[:, None, None]).all()
    np.testing.assert_allclose(everything(pyramid.resize(few[2:], (18, 24))), few[2:], atol=0.02)


def test_masks_ride_along():
    """Labels that are known from the colours: they agree in the rendered pictures too."""
    photo = photo_of(24, 30)
    photo[0, :, :15] = photo[0, :, :15] * 0.1 - 0.8
    photo[0, :, 15:] = photo[0, :, 15:] * 0.1 + 0.6
    masks = np.where(photo[..., 0] > 0, 7, 200).astype(np.uint8)
    renderer = Renderer(photo, (24, 30), rough_size=(18, 24), masks=masks, settings=EXACT)
    pictures, labels = renderer.with_masks(rough_of())
    assert labels.shape == (2, 24, 30) and labels.dtype == np.uint8 and set(np.unique(labels)) <= {7, 200}
    assert np.mean((pictures.mean(axis=-1) > -0.1) == (labels == 7)) > 0.97
    np.testing.assert_array_equal(pictures, renderer(rough_of()))


def test_the_picture_is_the_photo_at_its_matches_where_these_agree(photo, renderer, rendered):
    """Where all patches that cover a pixel name the same place, the pixel is that of the photo."""
    pictures, matches = renderer.with_matches(rough_of())
    np.testing.assert_array_equal(pictures, rendered)
    assert matches.shape == (2, 40, 52, 3) and matches.dtype == np.int32
    displacement = matches[..., 1:] - np.stack(np.meshgrid(np.arange(40), np.arange(52), indexing="ij"), axis=-1)
    around = np.lib.stride_tricks.sliding_window_view(displacement, (7, 7), axis=(1, 2))
    agreed = (around == around[..., 3:4, 3:4]).all(axis=(3, 4, 5))
    assert agreed.any()
    taken = photo[0][matches[..., 1], matches[..., 2]]
    np.testing.assert_allclose(rendered[:, 3:-3, 3:-3][agreed], taken[:, 3:-3, 3:-3][agreed], atol=1e-5)


def test_no_samples(renderer):
    assert renderer(rough_of()[:0]).shape == (0, 40, 52, 3)


def test_noise_makes_other_pictures_of_the_same_sample_numbers(photo):
    found = render.noise(photo, (18, 24), seed=3, numbers=[0, 5])
    assert found.shape == (2, 18, 24, 3) and found.dtype == np.float32
    np.testing.assert_array_equal(render.noise(photo, (18, 24), seed=3, numbers=[5])[0], found[1])
    assert np.abs(found[0] - found[1]).mean() > 0.1
    assert np.abs(render.noise(photo, (18, 24), seed=4, numbers=[0]) - found[0]).mean() > 0.1


@pytest.mark.parametrize(
    ("photos", "size", "message"),
    [
        (photo_of(6, 40), (40, 40), "at least 7"),
        (photo_of(40, 40), (40, 6), "at least 7"),
        (photo_of(20, 20, 9), (20, 20), "1 to 8 channels"),
        (photo_of(20, 20)[0], (20, 20), "expected"),
    ],
)
def test_what_cannot_be_rendered_is_refused(photos, size, message):
    with pytest.raises(UserError, match=message):
        Renderer(photos, size, rough_size=(10, 10))


def test_calls_that_do_not_fit_are_refused(photo, renderer):
    with pytest.raises(UserError, match="was made for"):
        renderer(np.zeros((1, 10, 10, 3), np.float32))
    with pytest.raises(UserError, match="without masks"):
        renderer.with_masks(rough_of())
    with pytest.raises(UserError, match="masks have the shape"):
        Renderer(photo, (40, 52), rough_size=(18, 24), masks=np.zeros((1, 3, 3), np.uint8))
