"""Each sample as the one of several draws that differs most from the samples before it."""

import types

import jax.numpy as jnp
import numpy as np
import pytest
import toy_runs
from PIL import Image

import siv_jax
from siv_jax.config import DataConfig
from siv_jax.data import open_source
from siv_jax.models.interface import Samples
from siv_jax.patches import moved
from siv_jax.patches.render import Renderer
from siv_jax.sampling import variety
from siv_jax.sampling.drawer import Drawer


class Gray:
    """Draws a picture of one gray level: its only latent, in [-1, 1]."""

    def noise(self, seed, start, count, size=None):
        return np.random.default_rng(seed).uniform(-1, 1, (5000, 1)).astype(np.float32)[start : start + count]

    def draw(self, weights, noise, size=None, image=None, start_scale=0):
        return Samples(noise[:, :, None, None] * np.ones((24, 32, 3), np.float32))


@pytest.fixture(scope="module")
def drawer():
    return Drawer(Gray(), types.SimpleNamespace(height=24, width=32, channels=3), (24, 32))


def latents(drawer, candidates, start, count):
    return variety.latents(drawer, {}, candidates, 7, start, count)


@pytest.mark.parametrize("candidates", [2, 5])
def test_a_sample_is_the_draw_whose_nearest_sample_is_farthest(drawer, candidates):
    rows = Gray().noise(7, 0, 24 * candidates)[:, 0].reshape(12, 2 * candidates)[:, :candidates]
    expected = [rows[0, 0]]
    for row in rows[1:]:
        expected.append(max(row, key=lambda gray: min(abs(gray - other) for other in expected)))
    found = latents(drawer, candidates, 0, 12)
    np.testing.assert_array_equal(found[:, 0], expected)
    assert min(np.diff(np.sort(found[:, 0]))) > min(np.diff(np.sort(rows[:, 0])))


def test_a_sample_depends_on_its_number_alone(drawer):
    several = latents(drawer, 3, 0, 100)
    for start, count in ((2, 3), (31, 2), (32, 1), (60, 40), (99, 1)):
        np.testing.assert_array_equal(latents(drawer, 3, start, count), several[start : start + count])
    assert latents(drawer, 3, 5, 0).shape == (0, 1)


def test_groups_come_one_after_another(drawer):
    several = latents(drawer, 3, 0, 100)
    groups = variety.in_groups(drawer, {}, 3, 7, 30, 70)
    sizes = []
    for group in groups:
        np.testing.assert_array_equal(group, several[30 + sum(sizes) :][: len(group)])
        sizes.append(len(group))
    assert sizes == [2, 32, 32, 4]


def test_draws_that_are_not_finite_are_passed_over():
    draws = np.random.default_rng(0).normal(size=(4, 6, 6))
    draws[1, :2] = np.nan
    draws[2, :3] = np.inf
    found = variety.farthest(draws, 3, lambda number: 0.0)
    assert found[1] == 6 + 2
    assert 12 + 3 <= found[2] < 18
    # A sample without a finite draw takes the first, and the others are chosen as if it were not there.
    draws = np.concatenate([draws, np.full((1, 6, 6), np.nan), draws[:1] + 1])
    again = variety.farthest(draws, 3, lambda number: 0.0)
    assert again[4] == 24
    np.testing.assert_array_equal(again[:4], found)
    assert again[5] == 24 + 6 + variety.farthest(np.delete(draws, 4, axis=0), 3, lambda number: 0.0)[4] - 24


def test_copies_are_taken_only_where_there_is_nothing_else():
    draws = np.arange(24.0).reshape(4, 6, 1)
    shares = np.zeros((4, 6))
    shares[0, 0] = 0.8
    shares[1, :3] = 0.9, 0.7, 0.66
    shares[2] = 0.9, 0.8, 0.95, 0.7, 0.9, 0.99
    asked = []

    def copied(number):
        asked.append(number)
        return shares.flat[number]

    # The first takes its second draw; the second the farthest of the other three, the third the least copy of all; of
    # the last one draw alone is looked at.
    np.testing.assert_array_equal(variety.farthest(draws, 3, copied), [1, 6 + 5, 12 + 3, 18 + 2])
    assert sorted(asked) == [0, 1, 6, 7, 8, 11, *range(12, 18), 20]


def test_the_picture_moved_as_a_whole_is_a_copy_and_its_pieces_elsewhere_are_none():
    photo = np.random.default_rng(0).uniform(-1, 1, (24, 32, 3)).astype(np.float32)
    shifted = np.roll(photo, (2, -3), axis=(0, 1))
    pieces = np.concatenate([photo[12:], photo[:12]])[:, np.r_[16:32, 0:16]]
    noise = np.random.default_rng(1).uniform(-1, 1, photo.shape).astype(np.float32)
    renderer = Renderer(photo[None], (24, 32), rough_size=(24, 32))
    found = [moved.share(renderer.matches(picture[None])[0]) for picture in (photo, shifted, pieces, noise)]
    whole, moved_, cut, other = found
    assert whole == 1 and 0.6 < moved_ < 1 and 0.1 < cut < 0.4 and other < 0.3


def test_a_share_is_counted_to_a_pixel():
    rows, columns = np.indices((4, 5))
    matches = np.stack([0 * rows, rows, columns], axis=-1).astype(np.int32)
    assert moved.share(matches) == 1
    matches[0, 0, 1:] = 1, 1  # a pixel down and to the right: moved alike still
    matches[3, 4, 1:] = 3, 2  # two pixels to the left
    matches[3, 0, 1:] = 0, 0  # three up
    assert moved.share(matches) == 18 / 20


def test_rendering_tells_copies_of_the_photo():
    """A model that draws the photo in most of its draws, and mixed up in the others: its samples are the others."""
    source = open_source(DataConfig(path="example:balloons", max_size=64))
    photo = source.resized(24, 32)[0] / np.float32(127.5) - 1
    mixed = np.ascontiguousarray(photo[:, np.r_[16:32, 0:16]])

    class Sampler(Gray):
        def draw(self, weights, noise, size=None, image=None, start_scale=0):
            new = (noise > 0.5)[:, :, None, None]
            return Samples(jnp.where(new, mixed, photo) + 0.05 * noise[:, :, None, None])

    drawer = Drawer(Sampler(), types.SimpleNamespace(height=24, width=32, channels=3), (24, 32))
    as_they_come = variety.latents(drawer, {}, 3, 7, 0, 12)
    found = variety.latents(drawer, {}, 3, 7, 0, 12, source)
    assert (as_they_come <= 0.5).any()
    of_each = Sampler().noise(7, 0, 12 * 6).reshape(12, 6)
    np.testing.assert_array_equal((found > 0.5)[:, 0], (of_each > 0.5).any(axis=1))


def test_a_run_draws_what_its_config_says(tmp_path):
    toy_runs.train(tmp_path / "run", candidates=3)
    model = siv_jax.load(tmp_path / "run")
    draws = model._drawer.noise(5, 0, 24).reshape(4, 6, -1)[:, :3]
    chosen = model.latents(4, seed=5)
    assert (chosen[:, None] == draws).all(axis=-1).any(axis=1).all()
    assert (chosen != draws[:, 0]).any()
    np.testing.assert_array_equal(model.latents(2, seed=5, start=2), chosen[2:])
    with Image.open(tmp_path / "run" / "samples" / "sample_00001.png") as image:
        np.testing.assert_array_equal(np.asarray(image), model.sample(2)[1])
