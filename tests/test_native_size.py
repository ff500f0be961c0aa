"""Models that draw any size themselves do so where others are rendered (the toy family has the task)."""

import numpy as np
import pytest
import toy_runs
from PIL import Image

from siv_jax import api
from siv_jax.errors import UserError


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy") / "run"
    assert toy_runs.train(folder)[0] is None
    return folder


def test_a_size_is_drawn_not_rendered(workdir, tmp_path):
    lines = api.write_samples(workdir, num=2, size="1.5x", out=tmp_path)
    assert lines[0].startswith("2 samples")
    model = api.load(workdir).at("1.5x")
    expected = model.sample(2)
    assert model.size == (36, 48) and expected.shape == (2, 36, 48, 3)
    for i, sample in enumerate(expected):
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / f"sample_{i:05d}.png")), sample)
    assert api.load(workdir).at("40x20").sample(1).shape == (1, 20, 40, 3)


def test_every_format_goes_with_a_drawn_size(workdir, tmp_path):
    api.write_samples(workdir, num=3, size="40x20", format="npy", out=tmp_path)
    assert np.load(tmp_path / "samples.npy").shape == (3, 20, 40, 3)


def test_the_model_itself_stays_as_it_is(workdir):
    model = api.load(workdir)
    before = model.sample(1)
    model.at("40x20").sample(1)
    np.testing.assert_array_equal(model.sample(1), before)


def test_what_the_model_cannot_do_is_refused(workdir, tmp_path):
    with pytest.raises(UserError, match=r"start_scale 2: the model in .* has the scales 0 to 1"):
        api.write_samples(workdir, num=1, start_scale=2, out=tmp_path)
    model = api.load(workdir)
    model.tasks = frozenset()
    with pytest.raises(UserError, match=r"start_scale 1: the model in .* has no scales to start from"):
        model.at(start_scale=1)
    with pytest.raises(UserError, match="draws samples of one size: render them at others"):
        model.at("2x")
    with pytest.raises(UserError, match="--fidelity is of rendered samples"):
        api.write_samples(workdir, num=1, size="2x", fidelity=1.0, out=tmp_path)
    with pytest.raises(UserError, match="is not photo, WIDTHxHEIGHT"):
        api.write_samples(workdir, num=1, size="wide", out=tmp_path)
