"""Training on several devices: the same as on one, up to rounding, and what is refused."""

import dataclasses

import jax
import numpy as np
import pytest
import tiny

from siv_jax.data import load_frames
from siv_jax.errors import UserError
from siv_jax.models.siv_gan import step
from siv_jax.models.siv_gan.state import TrainState, init_state
from siv_jax.train import devices as parallel
from siv_jax.train import single as training
from siv_jax.workdir.checkpoint import Checkpoints

CONFIG = tiny.config(batch_size=16, num_steps=20)
FRAMES, PLAN = load_frames(CONFIG.data, CONFIG.model)
LEARNING_RATE = CONFIG.optim.lr_g


def assert_same_training(found: TrainState, expected: TrainState) -> None:
    """Equal up to rounding: where a gradient is all rounding, Adam's step of one learning rate may go either way."""
    for name in ("params_g", "params_d", "ema"):
        difference = np.abs(getattr(found, name) - getattr(expected, name))
        moved = np.abs(getattr(expected, name) - getattr(init_state(PLAN, CONFIG), name))
        assert np.mean(difference) < 1e-3 * np.mean(moved), name
        assert np.mean(difference > 0.1 * LEARNING_RATE) < 1e-3, name


@pytest.fixture(scope="module")
def on_four() -> tuple[parallel.Trainer, list[TrainState], dict[str, float]]:
    """Three steps on four devices: the trainer, each device's state, and the sums of the metrics."""
    trainer = parallel.Trainer(PLAN, CONFIG, num_devices=4)
    state, frames = trainer.put(init_state(PLAN, CONFIG)), trainer.put(FRAMES.pixels)
    trainer.compile(state, frames)
    state, totals, _ = trainer.advance(state, trainer.zero_totals(), frames, 3)
    states = [jax.tree.map(lambda leaf, i=i: np.asarray(leaf.addressable_data(i))[0], state) for i in range(4)]
    return trainer, states, trainer.fetch(totals)


def test_four_devices_train_as_one_with_equal_draws(on_four):
    _, states, totals = on_four
    for other in states[1:]:
        jax.tree.map(np.testing.assert_array_equal, other, states[0])
    share = dataclasses.replace(CONFIG, batch_size=CONFIG.batch_size // 4)
    one = jax.vmap(step.make_train_step(PLAN, share, axis_name="devices"), in_axes=(0, None), axis_name="devices")
    state = jax.tree.map(lambda leaf: np.stack([leaf] * 4), init_state(PLAN, CONFIG))
    compiled = jax.jit(one).lower(state, FRAMES.pixels).compile(compiler_options=parallel.compiler_options())
    sums = dict.fromkeys(totals, 0.0)
    for _ in range(3):
        state, metrics = compiled(state, FRAMES.pixels)
        # Averaged, not added up: "finite" is 1.
        assert np.asarray(metrics["finite"]).tolist() == [1.0] * 4
        assert all(np.ptp(np.asarray(values)) == 0 for values in metrics.values())
        sums = {name: total + float(metrics[name][0]) for name, total in sums.items()}
    assert_same_training(states[0], jax.tree.map(lambda leaf: np.asarray(leaf)[0], state))
    for name, total in sums.items():
        assert float(totals[name]) == pytest.approx(total, rel=1e-4, abs=1e-5), name
    assert states[0].step == 3


def test_every_device_draws_for_itself(monkeypatch):
    keys = []

    def spy(key, *arguments):
        keys.append(jax.random.key_data(key))
        return draw(key, *arguments)

    draw = step.draw
    monkeypatch.setattr(step, "draw", spy)
    one = step.make_train_step(PLAN, dataclasses.replace(CONFIG, batch_size=4), axis_name="devices")

    def key_of_step(state):
        one(state, FRAMES.pixels)
        return keys[-1]

    state = jax.tree.map(lambda leaf: np.stack([leaf] * 4), init_state(PLAN, CONFIG))
    # The rest of the step is not needed for the key, so it is not compiled.
    drawn = np.asarray(jax.jit(jax.vmap(key_of_step, axis_name="devices"))(state))
    assert len({tuple(key) for key in drawn}) == 4


def test_state_comes_back_from_any_number_of_devices():
    state = init_state(PLAN, CONFIG)
    for num_devices in (1, 2, 8):
        trainer = parallel.Trainer(PLAN, CONFIG, num_devices)
        jax.tree.map(np.testing.assert_array_equal, trainer.fetch(trainer.put(state)), state)


def test_fetched_arrays_are_copies_that_further_steps_leave_alone(on_four):
    trainer, states, _ = on_four
    state, frames = trainer.put(states[0]), trainer.put(FRAMES.pixels)
    fetched = trainer.fetch(state)
    further, _, ticket = trainer.advance(state, trainer.zero_totals(), frames, 1)
    jax.block_until_ready(ticket)
    jax.tree.map(np.testing.assert_array_equal, fetched, states[0])
    assert (trainer.fetch(further).params_g != fetched.params_g).any()


def test_a_run_on_four_devices_goes_on_on_eight(on_four, tmp_path):
    said = []
    first = dataclasses.replace(CONFIG, num_steps=10)
    assert training.train(first, tmp_path / "run", 4, dry_run=False, say=said.append) is None
    assert training.train(CONFIG, tmp_path / "run", 8, dry_run=False, say=said.append) is None
    assert f"resuming  {tmp_path / 'run'} after step 10" in said
    assert any("batch 16 on 8 cpu device(s)" in line for line in said)
    with Checkpoints(tmp_path / "run" / "checkpoints", 3) as checkpoints:
        assert checkpoints.latest_step() == 20
        final = checkpoints.restore(like=init_state(PLAN, CONFIG))
    assert final.step == 20 and final.opt_g[0].count == 20
    assert (final.params_g != on_four[1][0].params_g).any()


@pytest.mark.parametrize(
    ("batch", "devices", "said"),
    [
        (5, 4, "batch_size 5 does not divide over 4 devices: the nearest that does is 8;"),
        (10, 4, "batch_size 10 does not divide over 4 devices: the nearest that does is 8 or 12;"),
        (4, 4, "batch_size 4 leaves 1 sample to each of 4 devices"),
        (3, 8, "the nearest that does is 16;"),
    ],
)
def test_batch_that_does_not_divide_is_refused(batch, devices, said):
    with pytest.raises(UserError, match="or use fewer devices with --devices") as refused:
        parallel.require_equal_shares(tiny.config(batch_size=batch), devices)
    assert said in str(refused.value)


def test_batch_that_divides():
    parallel.require_equal_shares(tiny.config(batch_size=8), 4)
    parallel.require_equal_shares(tiny.config(batch_size=4, loss__diversity="none"), 4)
    parallel.require_equal_shares(tiny.config(batch_size=5), 1)


def test_more_devices_than_there_are():
    assert parallel.use_devices(0) == jax.device_count() == 8
    with pytest.raises(UserError, match="--devices 9 asks for more than the 8 cpu devices there are"):
        parallel.use_devices(9)
