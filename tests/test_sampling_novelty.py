"""Each sample as the first of several draws that is no near copy of the input."""

import types

import numpy as np
import pytest
import tiny
from PIL import Image

import siv_jax
from siv_jax.data import Source
from siv_jax.data.pixel_format import PICTURE
from siv_jax.models.interface import Samples
from siv_jax.nn import numbered_noise, spread
from siv_jax.sampling import novelty
from siv_jax.sampling.drawer import Drawer
from siv_jax.train import single

PHOTO = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
SOURCE = Source("photo", 1, 1, (24, 32), 3, PICTURE, lambda: iter([PHOTO]))


class Mixer:
    """Draws the photo mixed with noise: its only latent, in [0, 1], is the share of the noise."""

    noise_picture = np.random.default_rng(1).uniform(-1, 1, PHOTO.shape).astype(np.float32)

    def noise(self, seed, start, count, size=None):
        return np.random.default_rng(seed).uniform(size=(1000, 1)).astype(np.float32)[start : start + count]

    def draw(self, weights, noise, size=None, image=None, start_scale=0):
        share = noise[:, :, None, None]
        return Samples((1 - share) * weights["photo"] + share * self.noise_picture)


@pytest.fixture(scope="module")
def drawer():
    return Drawer(Mixer(), types.SimpleNamespace(height=24, width=32, channels=3), (24, 32))


WEIGHTS = {"photo": PICTURE.from_source(PHOTO)}


@pytest.mark.parametrize("candidates", [2, 5])
def test_copies_are_passed_over_whatever_is_drawn_beside_them(drawer, candidates):
    draws = Mixer().noise(7, 0, 12 * candidates).reshape(12, candidates)
    enough = novelty._COPY * float(spread.of_views(SOURCE.resized(24, 32)))
    shares = np.linspace(0, 1, 1001, dtype=np.float32)[:, None]
    drawn, views = Mixer().draw(WEIGHTS, shares).images, novelty.views_of(SOURCE, (24, 32))
    novel = shares[novelty.distances(drawn, views) >= enough]
    expected = [next((z for z in row if z >= novel[0, 0]), row.max()) for row in draws]
    found = novelty.latents(drawer, WEIGHTS, SOURCE, candidates, 7, 0, 12)
    np.testing.assert_array_equal(found[:, 0], expected)
    assert 0 < novel[0, 0] < 1 and (draws[:, 0] < novel[0, 0]).any() and (draws[:, 0] >= novel[0, 0]).any()
    np.testing.assert_array_equal(novelty.latents(drawer, WEIGHTS, SOURCE, candidates, 7, 2, 3), found[2:5])
    assert novelty.latents(drawer, WEIGHTS, SOURCE, candidates, 7, 0, 0).shape == (0, 1)


def test_distances_are_those_to_the_nearest_view():
    rng = np.random.default_rng(2)
    images, views = (rng.uniform(-1, 1, (n, 8, 10, 3)).astype(np.float32) for n in (4, 5))
    brute = [min(np.sqrt(np.mean((image - view) ** 2)) for view in views) for image in images]
    np.testing.assert_allclose(novelty.distances(images, views), brute, rtol=1e-5)
    images[1, 0, 0, 0] = np.nan
    assert novelty.distances(images, views)[1] == -1


@pytest.mark.parametrize("mirrored", [1, -1])
def test_a_copy_moved_sideways_is_no_novelty(mirrored):
    views = novelty.views_of(SOURCE, (24, 32))
    copies = np.stack([np.roll(WEIGHTS["photo"][:, ::mirrored], shift, axis=1) for shift in (0, 8, -8, 9)])
    found = novelty.distances(copies, views)
    assert (found[:3] < 1e-3).all() and found[3] > 0.1


def test_a_run_draws_what_its_config_says(tmp_path, monkeypatch):
    monkeypatch.setattr(novelty, "_COPY", 1e9)  # all are copies: the farthest one is taken
    config = tiny.config(num_steps=2, candidates=3)
    single.train(config, tmp_path / "run", 1, False, say=lambda line: None)
    model = siv_jax.load(tmp_path / "run")
    draws = numbered_noise.normal(5, 0, 12, model.config.model.noise_dim).reshape(4, 3, -1)
    chosen = model.latents(4, seed=5)
    assert (chosen[:, None] == draws).all(axis=-1).any(axis=1).all()
    assert (chosen != draws[:, 0]).any()
    np.testing.assert_array_equal(model.latents(2, seed=5, start=2), chosen[2:])
    with Image.open(tmp_path / "run" / "samples" / "sample_00001.png") as image:
        np.testing.assert_array_equal(np.asarray(image), model.sample(2)[1])
