"""Training on several devices: the same as on one, up to rounding, and what is refused."""

import dataclasses

import jax
import numpy as np
import pytest
import tiny
import toy_runs

from siv_jax.data import open_source
from siv_jax.errors import UserError
from siv_jax.models import registry
from siv_jax.models.interface import AXIS
from siv_jax.models.siv_gan import step as step_lib
from siv_jax.models.siv_gan.step import Training
from siv_jax.nn.two_branch.plan import require_equal_shares
from siv_jax.nn.two_branch.training import TrainState
from siv_jax.train import devices, single
from siv_jax.workdir.checkpoint import Checkpoints

CONFIG = tiny.config(batch_size=16, num_steps=20)
SOURCE = open_source(CONFIG.data)
PLAN = registry.get("siv_gan").plan(CONFIG, SOURCE)
KEY = np.array([0, CONFIG.seed], np.uint32)
LEARNING_RATE = CONFIG.optim.lr_g


def stage(shards: int) -> Training:
    return registry.get("siv_gan").stages(CONFIG, PLAN, shards)[0]


DATA = stage(1).data(SOURCE)
START = stage(1).init(KEY, DATA)


def assert_same_training(found: TrainState, expected: TrainState) -> None:
    """Equal up to rounding: where a gradient is all rounding, Adam's step of one learning rate may go either way."""
    for name in ("params_g", "params_d", "ema"):
        difference = np.abs(getattr(found, name) - getattr(expected, name))
        moved = np.abs(getattr(expected, name) - getattr(START, name))
        assert np.mean(difference) < 1e-3 * np.mean(moved), name
        assert np.mean(difference > 0.1 * LEARNING_RATE) < 1e-3, name


@pytest.fixture(scope="module")
def on_four() -> tuple[devices.Program, list[TrainState], dict[str, float]]:
    """Three steps on four devices: the program, each device's state, and the sums of the metrics."""
    program = devices.Program(stage(4), devices.use(4))
    program.compile(START, DATA)
    state, data = program.put(START), program.put(DATA)
    state, totals, _ = program.advance(state, program.zero_totals(), data, KEY, 0, 3)
    states = [jax.tree.map(lambda leaf, i=i: np.asarray(leaf.addressable_data(i))[0], state) for i in range(4)]
    return program, states, program.fetch(totals)


def test_four_devices_train_as_one_with_equal_draws(on_four):
    _, states, totals = on_four
    for other in states[1:]:
        jax.tree.map(np.testing.assert_array_equal, other, states[0])
    shared = stage(4)

    def one(state, index, at):
        key = jax.random.fold_in(jax.random.wrap_key_data(KEY, impl="threefry2x32"), at)
        return shared.step(state, DATA, jax.random.fold_in(key, index), at)

    state, order = jax.tree.map(lambda leaf: np.stack([leaf] * 4), START), np.arange(4)
    together = jax.jit(jax.vmap(one, in_axes=(0, 0, None), axis_name=AXIS))
    compiled = together.lower(state, order, np.int32(0)).compile(compiler_options=devices.compiler_options())
    sums = dict.fromkeys(totals, 0.0)
    for at in range(3):
        state, metrics = compiled(state, order, np.int32(at))
        # Averaged: the same on every shard.
        assert all(np.ptp(np.asarray(values)) == 0 for values in metrics.values())
        sums = {name: total + float(metrics[name][0]) for name, total in sums.items()}
    assert_same_training(states[0], jax.tree.map(lambda leaf: np.asarray(leaf)[0], state))
    for name, total in sums.items():
        assert float(totals[name]) == pytest.approx(total, rel=1e-4, abs=1e-5), name


def test_every_device_draws_for_itself(monkeypatch):
    drawn, draw = [], step_lib.draw

    def spied(key, *arguments):
        jax.debug.callback(lambda data: drawn.append(tuple(data.tolist())), jax.random.key_data(key))
        return draw(key, *arguments)

    monkeypatch.setattr(step_lib, "draw", spied)
    spying = devices.Program(stage(4), devices.use(4))
    spying.compile(START, DATA)
    _, _, ticket = spying.advance(spying.put(START), spying.zero_totals(), spying.put(DATA), KEY, 0, 2)
    jax.block_until_ready(ticket)
    jax.effects_barrier()
    assert len(drawn) == len(set(drawn)) == 8, "two steps on four devices have eight keys"


def test_state_comes_back_from_any_number_of_devices():
    for count in (1, 2, 8):
        program = devices.Program(stage(count), devices.use(count))
        jax.tree.map(np.testing.assert_array_equal, program.fetch(program.put(START)), START)


def test_fetched_arrays_are_copies_that_further_steps_leave_alone(on_four):
    program, states, _ = on_four
    state, data = program.put(states[0]), program.put(DATA)
    fetched = program.fetch(state)
    further, _, ticket = program.advance(state, program.zero_totals(), data, KEY, 3, 1)
    jax.block_until_ready(ticket)
    jax.tree.map(np.testing.assert_array_equal, fetched, states[0])
    assert (program.fetch(further).params_g != fetched.params_g).any()


def test_a_run_on_four_devices_goes_on_on_eight(on_four, tmp_path):
    said = []
    first = dataclasses.replace(CONFIG, num_steps=10)
    assert single.train(first, tmp_path / "run", 4, dry_run=False, say=said.append) is None
    assert single.train(CONFIG, tmp_path / "run", 8, dry_run=False, say=said.append) is None
    assert f"resuming  {tmp_path / 'run'} after step 10" in said
    assert any("batch 16 on 8 cpu device(s)" in line for line in said)
    with Checkpoints(tmp_path / "run" / "checkpoints", 3) as checkpoints:
        assert checkpoints.latest_step() == 20
        final = checkpoints.restore()[0].state(START, stage(1).weights)
    assert final.opt_g[0].count == 20
    assert (final.params_g != on_four[1][0].params_g).any()


@pytest.mark.parametrize(
    ("batch", "shards", "said"),
    [
        (5, 4, "batch_size 5 does not divide over 4 devices: the nearest that does is 8;"),
        (10, 4, "batch_size 10 does not divide over 4 devices: the nearest that does is 8 or 12;"),
        (4, 4, "batch_size 4 leaves 1 sample to each of 4 devices"),
        (3, 8, "the nearest that does is 16;"),
    ],
)
def test_batch_that_does_not_divide_is_refused(batch, shards, said):
    with pytest.raises(UserError, match="or use fewer devices with --devices") as refused:
        require_equal_shares(tiny.config(batch_size=batch), shards)
    assert said in str(refused.value)


def test_batch_that_divides():
    require_equal_shares(tiny.config(batch_size=8), 4)
    require_equal_shares(tiny.config(batch_size=4, loss__diversity="none"), 4)
    require_equal_shares(tiny.config(batch_size=5), 1)


def test_more_devices_than_there_are(tmp_path):
    assert len(devices.use(0)) == 8 and len(devices.use(3)) == 3
    with pytest.raises(UserError, match="--devices 9 asks for more than the 8 cpu devices there are"):
        toy_runs.train(tmp_path / "run", devices=9)
    assert not (tmp_path / "run").exists()
