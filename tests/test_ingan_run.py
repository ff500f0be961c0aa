"""A tiny InGAN as a run: stopped and resumed, sampled at any size, seen on its page, measured."""

import functools
import os
import signal
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy_runs

from siv_jax import api
from siv_jax import config as config_lib
from siv_jax.data import open_source
from siv_jax.models.ingan import family, memory
from siv_jax.models.ingan.config import Config
from siv_jax.models.ingan.plan import make_plan
from siv_jax.models.ingan.sampler import Sampler
from siv_jax.models.interface import AXIS
from siv_jax.train import single
from siv_jax.workdir import checkpoint, layout

# No growth of the range, so that every step has another size; the extra step of the generator begins halfway.
OVERRIDES = {
    "num_steps": 20,
    "log_every": 5,
    "sample_every": 10,
    "checkpoint_every": 10,
    "num_samples": 6,
    "rendered_size": 0,
    "data.path": "example:balloons",
    "data.max_size": 48,
    "model.ch_g": 4,
    "model.ch_d": 4,
    "model.num_blocks_g": 1,
    "model.num_downscales_g": 1,
    "model.max_nets_d": 1,
    "transform.crop": 24,
    "transform.min_scale": 0.7,
    "transform.max_scale": 1.5,
    "transform.growth_steps": 0,
    "transform.canvases": 1,
    "loss.inverse_start": 10,
}


def config(**changes) -> Config:
    given = {name.replace("__", "."): value for name, value in changes.items()}
    return config_lib.with_overrides(Config(), OVERRIDES | given)


def train(folder: Path, watch=None) -> str | None:
    return single.train(config(), folder, 1, False, lambda line: None, watch)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("ingan") / "run"
    assert train(folder) is None
    return folder


@pytest.fixture(scope="module")
def model(undisturbed) -> api.Model:
    return api.load(undisturbed)


@pytest.mark.posix
def test_a_stopped_run_goes_on_bit_for_bit(undisturbed, tmp_path):
    folder = tmp_path / "run"

    def watch(step):
        if step >= 10:
            os.kill(os.getpid(), signal.SIGTERM)

    assert train(folder, watch) == "SIGTERM"
    assert toy_runs.steps_in(folder)[-1] < 20
    assert train(folder) is None
    toy_runs.assert_same_run(folder, undisturbed)


def test_losses_are_logged_and_the_extra_step_begins(undisturbed):
    entries = toy_runs.logged(undisturbed)
    assert [entry["step"] for entry in entries] == [5, 10, 15, 20]
    assert [entry["loss_inverse"] > 0 for entry in entries] == [False, False, True, True]
    for entry in entries:
        parts = (
            entry["loss_g/adversarial"] + entry["loss_g/reconstruction"],
            entry["loss_d/real"] + entry["loss_d/fake"],
        )
        np.testing.assert_allclose((entry["loss_g"], entry["loss_d"]), parts, rtol=1e-5)


def test_the_page_and_samples(undisturbed, model):
    assert "InGAN" in (undisturbed / "index.html").read_text()
    images = model.sample(4, seed=1)
    assert images.shape == (4, 36, 48, 3) and images.dtype == np.uint8
    np.testing.assert_array_equal(model.sample(2, seed=1, start=2), images[2:])
    np.testing.assert_array_equal(model.sample(1, seed=7)[0], images[0])  # the whole picture, whatever the seed
    assert len({image.tobytes() for image in images}) == 4


WHOLE, PART = (np.array([[1, 1, 0, 0, 0, 0, 0]], np.float32), np.array([[1.5, 1.3, 0, 1, 0.2, -0.1, 0]], np.float32))


@functools.cache
def drawing(folder: Path, size: tuple[int, int]):
    """The sampler of a run's last weights: noise [1, 7] and image [1, h, w, 3] or None to one sample [*size, 3]."""
    weights, _ = checkpoint.restore_weights(folder / layout.CHECKPOINTS)
    sampler = Sampler(layout.load_record(folder).plan, config())
    draw = jax.jit(lambda noise, image: sampler.draw(weights, noise, size=size, image=image).images[0])
    return lambda noise, image=None: np.asarray(draw(noise, image))


def test_any_size(undisturbed):
    draw = drawing(undisturbed, (23, 71))
    whole, part = draw(WHOLE), draw(PART)
    assert whole.shape == part.shape == (23, 71, 3)
    assert np.isfinite(part).all() and max(np.abs(whole).max(), np.abs(part).max()) <= 1
    assert np.abs(whole - part).max() > 0.01
    # What no picture can be is brought to what can: scales under 1, and shifts that fold it over.
    folded = np.array([[0, -3, 0, 0, 0.9, 0.9, 0]], np.float32)
    np.testing.assert_allclose(draw(folded), draw(np.array([[1, 1, 0, 0, 0.45, 0.45, 0]], np.float32)), atol=1e-5)


def test_an_image_is_taken_whole_and_the_learnt_picture_is_held_by_the_weights(undisturbed):
    draw = drawing(undisturbed, (23, 71))
    picture = open_source(config().data).resized(36, 48).astype(np.float32) / 127.5 - 1
    np.testing.assert_allclose(draw(WHOLE, picture), draw(WHOLE), atol=1e-4)
    unshifted = PART * np.array([1, 1, 1, 1, 0, 0, 1], np.float32)
    np.testing.assert_array_equal(draw(unshifted, picture), draw(WHOLE, picture))
    assert np.abs(draw(PART, picture) - draw(WHOLE, picture)).max() > 0.01


def test_the_memory_estimate_agrees_with_the_compiled_step(undisturbed):
    """XLA's figure for a step at crop 64 on the largest canvas, the extra one too: 52.9 MB temporary, 4.0 of state."""
    settings = config(
        data__max_size=128,
        model__ch_g=16,
        model__ch_d=16,
        model__num_blocks_g=3,
        model__num_downscales_g=3,
        model__max_nets_d=99,
        transform__crop=64,
        transform__max_scale=2.0,
    )
    plan = make_plan(188, 250, 3, settings)
    assert 0.8 < memory.of_arrays(settings, plan, 1) / 56.9e6 < 1.4
    # A compiled step takes 130 MB on a CPU: one canvas, with the extra turn and without.
    assert len(plan.canvas_heights) == len(plan.canvas_widths) == 1
    assert memory.estimate(settings, plan, 1) == memory.of_arrays(settings, plan, 1) + 2 * 130_000_000


def test_shards_give_the_state_that_they_were_given():
    """Traced under the mapped axis, not run."""
    settings = config(batch_size=2)
    source = open_source(settings.data)
    [shared] = family.stages(settings, family.plan(settings, source), shards=2)
    data = shared.data(source)
    state, key = shared.init(np.zeros(2, np.uint32), data, None), jax.random.key(0, impl="threefry2x32")
    step = functools.partial(shared.step, shape=(36, 24, 1))
    mapped = jax.vmap(step, in_axes=None, out_axes=None, axis_name=AXIS, axis_size=2)
    found, metrics = jax.eval_shape(mapped, state, data, key, jnp.int32(0))
    assert jax.tree.map(lambda leaf: leaf.shape, found) == jax.tree.map(lambda leaf: leaf.shape, state)
    assert set(metrics) >= set(family.headline.values())
