"""Checkpoints: what is read back is what was saved, the last few stay, and a damaged one is named."""

import dataclasses
import errno
import os
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import tiny_trainer
from flax import struct

from siv_jax.errors import DivergedError, UserError
from siv_jax.workdir import checkpoint, layout
from siv_jax.workdir.checkpoint import Checkpoints, require_finite, restore_weights, save_weights


@struct.dataclass
class State:
    """A state of small arrays, of which sampling needs two."""

    params: jax.Array
    average: jax.Array
    scales: list[dict[str, jax.Array]]
    optimizer: Any


def state_at(step: int, seed: int = 0) -> State:
    rng = np.random.default_rng(seed + step)

    def vector(*shape):
        return rng.normal(size=shape).astype(np.float32)

    moments = ({"count": np.array(step, np.int32), "mu": vector(7)}, {})
    return State(vector(7), vector(7), [{"a": vector(2, 3)}, {"a": vector(4), "b": vector(1)}], moments)


def weights(state: State) -> dict:
    return {"average": state.average, "scales": state.scales}


def save(checkpoints: Checkpoints, step: int, state: State | None = None) -> None:
    checkpoints.save(step, 1, step - 7, state_at(step) if state is None else state, weights)


def assert_same(ours, theirs):
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert np.asarray(a).dtype == np.asarray(b).dtype
        np.testing.assert_array_equal(a, b)


def steps_in(folder) -> list[int]:
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdecimal())


def test_what_is_saved_is_restored_bit_for_bit(tmp_path):
    state = state_at(12)
    # Signed zeros, subnormals and the largest values too.
    state.params[:4] = [-0.0, 1e-45, 3.4e38, -1e-38]
    with Checkpoints(tmp_path / "c", 3) as checkpoints:
        assert checkpoints.latest_step() is None
        save(checkpoints, 12, state)
    with Checkpoints(tmp_path / "c", 3) as checkpoints:
        assert checkpoints.latest_step() == 12
        saved, _ = checkpoints.restore()
    assert (saved.stage, saved.step) == (1, 5)
    shapes = jax.eval_shape(lambda: state_at(0, seed=9))
    for like in (state_at(0, seed=9), shapes):
        restored = saved.state(like, weights)
        assert_same(restored, state)
        assert np.signbit(restored.params[0])
    # What sampling needs is not saved twice.
    assert len(saved.rest) == len(jax.tree.leaves(state)) - len(jax.tree.leaves(weights(state))) + 2


def test_the_last_few_stay(tmp_path):
    folder = tmp_path / layout.CHECKPOINTS
    with Checkpoints(folder, 2) as checkpoints:
        for step in (10, 20, 30, 40):
            save(checkpoints, step)
        checkpoints.wait()
        assert steps_in(folder) == [30, 40]
        assert_same(checkpoints.restore()[0].state(state_at(0), weights), state_at(40))
    assert layout.completed_steps(tmp_path) == 40
    assert layout.completed_steps(tmp_path / "nowhere") == 0


def test_a_step_is_saved_once_and_an_earlier_one_refused(tmp_path):
    with Checkpoints(tmp_path / "c", 2) as checkpoints:
        save(checkpoints, 20)
        save(checkpoints, 20, state_at(20, seed=5))
        assert_same(checkpoints.restore()[0].state(state_at(0), weights), state_at(20))
        with pytest.raises(UserError, match="another run"):
            save(checkpoints, 10)


def test_what_a_killed_run_left_unfinished_is_not_taken_for_a_checkpoint(tmp_path):
    folder = tmp_path / layout.CHECKPOINTS
    with Checkpoints(folder, 2) as checkpoints:
        save(checkpoints, 10)
    unfinished = folder / "20.orbax-checkpoint-tmp"
    unfinished.mkdir()
    (unfinished / "half").write_text("x")
    assert layout.completed_steps(tmp_path) == 10
    with Checkpoints(folder, 2) as checkpoints:
        assert checkpoints.latest_step() == 10
        save(checkpoints, 20)
    assert steps_in(folder) == [10, 20] and not unfinished.exists()


def test_other_shapes_and_damage_are_named(tmp_path):
    folder = tmp_path / "c"
    with Checkpoints(folder, 2) as checkpoints:
        save(checkpoints, 10)
        checkpoints.wait()
        for other in (
            dataclasses.replace(state_at(0), params=np.zeros(8, np.float32)),
            dataclasses.replace(state_at(0), params=np.zeros(7, np.int32)),
            dataclasses.replace(state_at(0), optimizer=()),
            dataclasses.replace(state_at(0), scales=[]),
        ):
            with pytest.raises(ValueError):
                checkpoints.restore()[0].state(other, weights)
    damage(folder / "10" / "rest", lambda data: b"")
    with Checkpoints(folder, 2) as checkpoints, pytest.raises(UserError, match=f"{folder / '10'} is damaged.*no other"):
        checkpoints.restore()
    assert steps_in(folder) == [10]


def damage(folder: Path, change: Callable[[bytes], bytes]) -> None:
    """Changes the largest file under `folder`."""
    path = max((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    path.write_bytes(change(path.read_bytes()))


def flip_a_bit(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 4]) + data[middle + 1 :]


@pytest.mark.parametrize("item", ["weights", "rest"])
@pytest.mark.parametrize("change", [lambda data: b"", lambda data: data[: len(data) // 2], flip_a_bit])
def test_a_damaged_checkpoint_is_set_aside_for_the_one_before(tmp_path, item, change):
    folder = tmp_path / "c"
    with Checkpoints(folder, 3) as checkpoints:
        for step in (10, 20, 30):
            save(checkpoints, step)
    damage(folder / "30" / item, change)
    damage(folder / "20" / item, change)
    with Checkpoints(folder, 3) as checkpoints:
        saved, notes = checkpoints.restore()
        assert_same(saved.state(state_at(0), weights), state_at(10))
        assert len(notes) == 2 and "30.damaged now, the one before is used" in notes[0]
        save(checkpoints, 20)
    assert steps_in(folder) == [10, 20] and (folder / "30.damaged").is_dir() and (folder / "20.damaged").is_dir()


def test_a_damaged_checkpoint_takes_a_free_name(tmp_path):
    folder = tmp_path / "c"
    for left in ("20.damaged", "20.damaged_2"):
        (folder / left / "weights").mkdir(parents=True)
    with Checkpoints(folder, 3) as checkpoints:
        for step in (10, 20):
            save(checkpoints, step)
    damage(folder / "20" / "rest", flip_a_bit)
    with Checkpoints(folder, 3) as checkpoints:
        assert "it is 20.damaged_3 now" in checkpoints.restore()[1][0]
        assert checkpoints.latest_step() == 10
    assert (folder / "20.damaged_3" / "rest").is_dir() and steps_in(folder) == [10]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError(errno.EACCES, "no", "file"), "Permission denied"),
        (OSError(errno.EIO, "no"), "Input/output error"),
        (MemoryError(), "Cannot allocate memory"),
        (ValueError('Error reading "0": Failed to open: "d/1": Permission denied [spec={}]'), "Permission denied"),
        (FileNotFoundError("Metadata file does not exist"), "Too many open files"),  # which Orbax did not say
    ],
)
def test_what_the_system_refuses_to_read_is_not_damaged(tmp_path, monkeypatch, error, said):
    folder = tmp_path / "c"
    with Checkpoints(folder, 3) as checkpoints:
        for step in (10, 20):
            save(checkpoints, step)

    def refuse(*_, **__):
        raise error

    def walk(place, onerror):
        onerror(OSError(errno.EMFILE, "no"))

    monkeypatch.setattr(checkpoint.ocp.CheckpointManager, "restore", refuse)
    monkeypatch.setattr(os, "walk", walk)
    with Checkpoints(folder, 3) as checkpoints, pytest.raises(UserError, match=f"c/20 cannot be read: {said}"):
        checkpoints.restore()
    with pytest.raises(UserError, match=f"20 cannot be read: {said}; nothing is changed"):
        restore_weights(folder)
    assert steps_in(folder) == [10, 20] and len(list(folder.iterdir())) == 2


def test_sampling_reads_its_weights_alone(tmp_path):
    folder, state = tmp_path / "run" / "checkpoints", state_at(30)
    with Checkpoints(folder, 2) as checkpoints:
        save(checkpoints, 30, state)
    found, step = restore_weights(folder)
    assert step == 30
    assert_same(found, weights(state))
    for path in (folder / "30" / "rest").rglob("*"):
        if path.is_file():
            path.write_bytes(b"")
    assert_same(restore_weights(folder)[0], weights(state))


def test_advice_about_damaged_weights_is_what_going_on_does(tmp_path):
    folder = tmp_path / "c"
    with Checkpoints(folder, 2) as checkpoints:
        save(checkpoints, 10)
        save(checkpoints, 20)
    damage(folder / "20" / "weights", lambda data: b"")
    with pytest.raises(UserError, match=r"20 is damaged .*; go on training there, which takes up the one before$"):
        restore_weights(folder)
    with Checkpoints(folder, 2) as checkpoints:
        assert checkpoints.restore()[0].step == 3
    # What was set aside is no other.
    damage(folder / "10" / "weights", lambda data: b"")
    for use in (lambda: restore_weights(folder), lambda: Checkpoints(folder, 2).restore()):
        with pytest.raises(UserError, match=r"10 is damaged .*; there is no other: begin again in another --workdir$"):
            use()


def test_imported_weights_are_step_zero(tmp_path):
    folder = tmp_path / "run" / "checkpoints"
    given = {"ema": np.arange(7, dtype=np.float32), "vectors": [np.ones(3, np.float32)]}
    save_weights(folder, given)
    found, step = restore_weights(folder)
    assert step == 0
    assert_same(found, given)


def test_no_checkpoint_to_sample_from(tmp_path):
    with pytest.raises(UserError, match="train there first"):
        restore_weights(tmp_path / "run" / "checkpoints")
    with Checkpoints(tmp_path / "run" / "checkpoints", 2):
        pass
    with pytest.raises(UserError, match="train there first"):
        restore_weights(tmp_path / "run" / "checkpoints")


@pytest.mark.parametrize("name", ["params", "average"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_state_that_is_not_finite_is_named(name, value):
    state = state_at(10)
    require_finite(state, 10)
    getattr(state, name)[-1] = value
    with pytest.raises(DivergedError, match=rf"{name} is not finite after step 10"):
        require_finite(state, 10)


def test_n_steps_are_k_steps_saved_and_restored_and_the_rest(tmp_path):
    tiny = tiny_trainer.compiled()
    whole, _ = tiny.advance(tiny.start(), 12)
    part, _ = tiny.advance(tiny.start(), 7)
    with Checkpoints(tmp_path / "c", 2) as checkpoints:
        checkpoints.save(7, 0, 7, part, tiny.stage.weights)
    with Checkpoints(tmp_path / "c", 2) as checkpoints:
        saved, _ = checkpoints.restore()
    resumed, _ = tiny.advance(saved.state(tiny.start(seed=3), tiny.stage.weights), 5, first=saved.step)
    assert_same(resumed, whole)


def test_answers_that_come_too_late_are_not_printed(monkeypatch):
    shown = []
    monkeypatch.setattr(sys, "unraisablehook", shown.append)
    checkpoint._ignore_late_answers.__wrapped__()
    for text in ("Event loop is closed", "another"):
        sys.unraisablehook(types.SimpleNamespace(exc_value=RuntimeError(text)))
    assert [str(one.exc_value) for one in shown] == ["another"]
