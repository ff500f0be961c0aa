"""Stages whose steps have shapes of their own: a program for each, whichever way the steps are cut into calls."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from siv_jax.models.interface import AXIS
from siv_jax.train import devices
from siv_jax.train.step_shapes import StepShapes

KEY = np.array([0, 5], np.uint32)


class Ragged:
    """Adds up uniform numbers, one to four in a step."""

    num_steps = 600

    def __init__(self, shards: int = 1):
        self._shards, self.traced = shards, []

    def shape(self, key, step):
        return jnp.stack([1 + jax.random.randint(key, (), 0, 4), (step >= 300).astype(jnp.int32)])

    def step(self, state, data, key, step, shape):
        self.traced.append(shape)
        number, late = shape
        total = jnp.sum(jax.random.uniform(key, (number,))) + data + 10 * late
        return state + (total if self._shards == 1 else jax.lax.pmean(total, AXIS)), {"loss": jnp.float32(number)}


def trained(stage, start, *counts, on=1):
    program, state, data = devices.Program(stage, devices.use(on)), np.float32(0), np.float32(0.5)
    program.compile(state, data, KEY, start)
    state, totals, data = program.put(state), program.zero_totals(), program.put(data)
    for count in counts:
        state, totals, _ = program.advance(state, totals, data, KEY, start, count)
        start += count
    return program.fetch(state), float(program.fetch(totals)["loss"])


def test_the_steps_are_the_same_however_they_are_cut():
    whole = trained(Ragged(), 290, 20)
    assert whole == trained(Ragged(), 290, 1, 7, 12)
    shapes = StepShapes(Ragged(), 1)
    assert whole[1] == sum(shapes.at(KEY, step)[0] for step in range(290, 310))


def test_programs_give_way_to_newer_ones_and_come_back(monkeypatch):
    whole = trained(Ragged(), 0, 30)
    monkeypatch.setattr(devices, "PROGRAMS_KEPT", 2)
    stage = Ragged()
    assert whole == trained(stage, 0, 30)
    assert len(stage.traced) > 4


def test_stretches_cover_all_steps_and_cross_the_blocks():
    shapes = StepShapes(Ragged(), 1)
    stretches = list(shapes.stretches(KEY, 250, 20))
    assert [step for _, first, count in stretches for step in range(first, first + count)] == list(range(250, 270))
    assert all(
        shapes.at(KEY, step) == shape for shape, first, count in stretches for step in range(first, first + count)
    )
    assert all(one[0] != other[0] for one, other in itertools.pairwise(stretches))


def test_each_shape_is_traced_when_first_met_and_once():
    stage = Ragged()
    program, state, data = devices.Program(stage, devices.use(1)), np.float32(0), np.float32(0)
    program.compile(state, data, KEY, 0)
    assert stage.traced == [StepShapes(stage, 1).at(KEY, 0)]
    state, totals, data = program.put(state), program.zero_totals(), program.put(data)
    program.prepare(state, totals, data, KEY, 0, 40)
    program.advance(state, totals, data, KEY, 0, 40)
    assert sorted(stage.traced) == [(number, 0) for number in (1, 2, 3, 4)]


def test_a_call_compiles_once_at_most_and_first():
    stage, wanted = Ragged(), 40
    program, state, data = devices.Program(stage, devices.use(1)), np.float32(0), np.float32(0)
    program.compile(state, data, KEY, 0)
    state, totals, data = program.put(state), program.zero_totals(), program.put(data)
    at, calls = 0, 0
    while at < wanted:
        count, before = program.at_once(KEY, at, wanted - at), len(stage.traced)
        met = [StepShapes(stage, 1).at(KEY, step) for step in range(at, at + count)]
        assert all(shape in stage.traced for shape in met if shape != met[0])
        state, totals, _ = program.advance(state, totals, data, KEY, at, count)
        assert len(stage.traced) - before <= 1
        at, calls = at + count, calls + 1
    assert at == wanted
    assert calls == 4  # the first shape is there; each of the three others begins a call


@pytest.mark.parametrize("count", [2, 4])
def test_devices_share_the_largest_shape(count):
    """Each draws with its own key, on arrays of one shape."""
    shapes = StepShapes(Ragged(), count)
    key = jax.random.wrap_key_data(jnp.asarray(KEY), impl="threefry2x32")
    expected = 0.0
    for step in range(6):
        own = [jax.random.fold_in(jax.random.fold_in(key, step), shard) for shard in range(count)]
        number = max(int(Ragged().shape(key, jnp.int32(step))[0]) for key in own)
        assert shapes.at(KEY, step) == (number, 0)
        expected += np.mean([float(jnp.sum(jax.random.uniform(key, (number,)))) for key in own]) + 0.5
    found, _ = trained(Ragged(count), 0, 6, on=count)
    assert float(found) == pytest.approx(expected, rel=1e-5)
