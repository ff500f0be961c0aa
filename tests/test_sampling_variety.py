"""Each sample as the one of several draws that differs most from the samples before it."""

import types

import numpy as np
import pytest
import toy_runs
from PIL import Image

import siv_jax
from siv_jax.models.interface import Samples
from siv_jax.patches import moved
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
    rows = Gray().noise(7, 0, 12 * candidates)[:, 0].reshape(12, candidates)
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


def test_draws_that_are_not_finite_are_passed_over():
    draws = np.random.default_rng(0).normal(size=(4, 3, 6))
    draws[1, :2] = np.nan
    draws[2] = np.inf
    found = variety.farthest(draws, np.zeros((4, 3), bool))
    assert found[1] == 3 + 2 and 6 <= found[2] < 9 and np.isfinite(draws.reshape(12, 6)[found[3]]).all()


def test_copies_are_taken_only_where_there_is_nothing_else():
    draws = np.arange(12.0).reshape(4, 3, 1)
    copies = np.array([[1, 0, 0], [0, 0, 1], [1, 1, 1], [0, 0, 0]], bool)
    # Of the second sample 5 is farther from 1 than 4, but a copy; the third has nothing else.
    np.testing.assert_array_equal(variety.farthest(draws, copies), [1, 4, 8, 11])


def test_the_picture_moved_as_a_whole_is_a_copy_and_its_pieces_elsewhere_are_none():
    photo = np.random.default_rng(0).uniform(-1, 1, (24, 32, 3)).astype(np.float32)
    shifted = np.roll(photo, (2, -3), axis=(0, 1))
    pieces = np.concatenate([photo[12:], photo[:12]])[:, np.r_[16:32, 0:16]]
    noise = np.random.default_rng(1).uniform(-1, 1, photo.shape).astype(np.float32)
    whole, moved_, cut, other = moved.alike(np.stack([photo, shifted, pieces, noise]), photo)
    assert whole == 1 and 0.6 < moved_ < 1 and 0.1 < cut < 0.4 and other < 0.1


def test_a_run_draws_what_its_config_says(tmp_path):
    toy_runs.train(tmp_path / "run", candidates=3)
    model = siv_jax.load(tmp_path / "run")
    draws = model._drawer.noise(5, 0, 12).reshape(4, 3, -1)
    chosen = model.latents(4, seed=5)
    assert (chosen[:, None] == draws).all(axis=-1).any(axis=1).all()
    assert (chosen != draws[:, 0]).any()
    np.testing.assert_array_equal(model.latents(2, seed=5, start=2), chosen[2:])
    with Image.open(tmp_path / "run" / "samples" / "sample_00001.png") as image:
        np.testing.assert_array_equal(np.asarray(image), model.sample(2)[1])
