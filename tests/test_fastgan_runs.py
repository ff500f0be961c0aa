"""FastGAN trained with the smallest networks there are, on two devices: resumption, samples, the page."""

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
from siv_jax.models.fastgan import family, step
from siv_jax.models.fastgan.config import Config
from siv_jax.models.fastgan.objectives import Players
from siv_jax.models.interface import AXIS
from siv_jax.nn import spectral_norm
from siv_jax.train import devices, single

OVERRIDES = {
    "num_steps": 12,
    "batch_size": 4,
    "log_every": 3,
    "sample_every": 6,
    "checkpoint_every": 6,
    "num_samples": 4,
    "rendered_size": 0,
    "data.path": "example:balloons",
    "data.max_size": 64,
    "model.ch_g": 1,
    "model.ch_d": 1,
    "model.ch_decoder": 2,
    "model.noise_dim": 4,
    "loss.reconstruction": "mse",
    "optim.lr_d": 5e-3,
}
CONFIG = config_lib.with_overrides(Config(), OVERRIDES)
SOURCE = open_source(CONFIG.data)
PLAN = family.plan(CONFIG, SOURCE)
KEY = np.array([0, CONFIG.seed], np.uint32)
DEVICES = 2  # one program serves all tests


def train(folder: Path, watch=None) -> str | None:
    return single.train(CONFIG, folder, DEVICES, False, lambda line: None, watch)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    assert train(folder) is None
    return folder


def test_a_run_learns_and_shows_it(undisturbed):
    entries = toy_runs.logged(undisturbed)
    assert [entry["step"] for entry in entries] == [3, 6, 9, 12]
    assert entries[-1]["reconstruction"] < 0.9 * entries[0]["reconstruction"]
    assert entries[0]["loss_d"] == pytest.approx(
        sum(entries[0][name] for name in ("loss_d/real", "loss_d/fake", "reconstruction")), rel=1e-5
    )
    page = (undisturbed / "index.html").read_text()
    assert "FastGAN" in page and "reconstruction" in page


@pytest.mark.posix
def test_a_run_stopped_on_the_way_goes_on_bit_for_bit(undisturbed, tmp_path):
    def watch(step):
        os.kill(os.getpid(), signal.SIGTERM)

    assert train(tmp_path / "run", watch) == "SIGTERM"
    assert 6 <= toy_runs.steps_in(tmp_path / "run")[-1] < 12
    assert train(tmp_path / "run") is None
    toy_runs.assert_same_run(tmp_path / "run", undisturbed)


def test_a_sample_depends_on_its_latent_alone(undisturbed):
    model = api.load(undisturbed)
    together = model.generate(model.latents(3, seed=1))
    assert together.shape == (3, 48, 64, 3) and np.abs(together).max() <= 1
    for i in range(3):
        np.testing.assert_allclose(model.generate(model.latents(1, seed=1, start=i))[0], together[i], atol=1e-6)
    assert np.abs(together[0] - together[1]).max() > 1e-3


def test_shards_compute_the_losses_of_the_whole_batch():
    """With the same draws, the mean of the shards' losses is that of the batch on one device."""
    state = family.stages(CONFIG, PLAN)[0].init(KEY, None)
    draws = step.draw(jax.random.key(0, impl="threefry2x32"), PLAN, CONFIG, 1)
    frames = np.random.default_rng(0).uniform(-1, 1, (4, PLAN.height, PLAN.width, 3)).astype(np.float32)

    def losses(axis_name, frames, draws):
        players = Players(PLAN, CONFIG, jnp.float32, axis_name)
        reals = players.reals(frames, draws)
        fakes = players.fakes(state.params_g, state.vectors_g, draws)
        total, metrics = players.discriminator_objective(
            state.params_d, state.vectors_d, state.vectors_d, reals, fakes, draws, None
        )
        loss_g = players.generator_objective(fakes, state.params_d, state.vectors_d)
        found = metrics | {"total": total, "loss_g": loss_g}
        return found if axis_name is None else jax.lax.pmean(found, axis_name)

    def shared_out(frames, draws):
        # What belongs to samples is cut in two; the quadrant and the order of the frames are the batch's.
        own = {"quadrant": draws.quadrant, "frames": draws.frames}
        halves = jax.tree.map(
            lambda leaf: leaf.reshape(2, 2, *leaf.shape[1:]), draws.replace(quadrant=None, frames=None)
        )

        def shard(frames, halves):
            return losses(AXIS, frames, halves.replace(**own))

        return jax.vmap(shard, axis_name=AXIS)(frames.reshape(2, 2, *frames.shape[1:]), halves)

    def compiled(function):
        options = devices.compiler_options()
        return jax.jit(function).lower(frames, draws).compile(compiler_options=options)(frames, draws)

    alone, together = compiled(lambda *inputs: losses(None, *inputs)), compiled(shared_out)
    for name, value in alone.items():
        np.testing.assert_allclose(together[name], [value] * 2, rtol=2e-4, atol=2e-5, err_msg=name)


def test_the_devices_stay_alike():
    stage = family.stages(CONFIG, PLAN, DEVICES)[0]
    data = stage.data(SOURCE)
    state = stage.init(KEY, data)
    program = devices.Program(stage, devices.use(DEVICES))
    program.compile(state, data)
    after, totals, _ = program.advance(program.put(state), program.zero_totals(), program.put(data), KEY, 0, 3)
    first, second = (jax.tree.map(lambda leaf, i=i: np.asarray(leaf.addressable_data(i))[0], after) for i in (0, 1))
    jax.tree.map(np.testing.assert_array_equal, first, second)
    assert np.isfinite(list(program.fetch(totals).values())).all()
    # A kernel divided by its sigma stretches nothing to more than its length.
    kernel = np.asarray(spectral_norm.normalize(first.params_g, first.vectors_g)["to_image"]["kernel"])
    assert np.linalg.norm(kernel.reshape(-1, kernel.shape[-1]), 2) == pytest.approx(1, abs=0.05)


def test_a_step_on_one_device_keeps_the_state_s_shapes():
    stage = family.stages(CONFIG, PLAN)[0]
    data = stage.data(SOURCE)
    state = stage.init(KEY, data)
    key = jax.random.key(0, impl="threefry2x32")
    after, metrics = jax.eval_shape(stage.step, state, data, key, jnp.int32(0))
    described = [jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tree) for tree in (state, after)]
    assert described[0] == described[1]
    assert {leaf.shape for leaf in jax.tree.leaves(metrics)} == {()}
