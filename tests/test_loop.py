"""When the loop logs, draws, saves and stops, with a trainer that only counts."""

import dataclasses
import json
import os
import signal

import numpy as np
import pytest
import tiny
from test_checkpoint import state_at, steps_in
from tqdm import tqdm

from siv_jax.data.pixel_format import PICTURE
from siv_jax.models.siv_gan.plan import make_plan
from siv_jax.models.siv_gan.state import TrainState
from siv_jax.train.loop import Loop, StopSignal
from siv_jax.train.run import Run
from siv_jax.workdir import layout as workdir
from siv_jax.workdir.checkpoint import Checkpoints
from siv_jax.workdir.logs import Writer

FRAMES = np.zeros((1, 48, 64, 3), np.uint8)


class Counting:
    """A trainer whose step adds one; its loss_g is the number of the step, from `broken` on NaN."""

    slots = 1

    def __init__(self, broken: float = np.inf, weights_broken: float = np.inf, after_call=lambda step: None):
        self.broken, self.weights_broken, self.after_call = broken, weights_broken, after_call
        self.calls: list[tuple[int, int]] = []

    def put(self, tree):
        return tree

    def fetch(self, tree, slot=0):
        return dataclasses.replace(tree) if isinstance(tree, TrainState) else dict(tree)

    snapshot = fetch

    def zero_totals(self):
        return dict.fromkeys(("finite", "loss_g", "loss_d", "diversity"), 0.0)

    def restart_totals(self, totals, slots):
        return self.zero_totals()

    def advance(self, state, totals, frames, count):
        first = int(state.step) + 1
        steps = range(first, first + count)
        self.calls.append((first, first + count - 1))
        totals = {
            "finite": totals["finite"] + sum(step < self.broken for step in steps),
            "loss_g": totals["loss_g"] + sum(step if step < self.broken else np.nan for step in steps),
            "loss_d": totals["loss_d"] + count,
            "diversity": totals["diversity"] + 2 * count,
        }
        params = np.full(7, np.nan if steps[-1] >= self.weights_broken else 1.0, np.float32)
        state = dataclasses.replace(state, step=np.array(steps[-1], np.int32), params_g=params)
        self.after_call(steps[-1])
        return state, totals, np.zeros(())


class Black:
    """A sampler of black pictures, which notes when it is asked for them and when they are waited for."""

    def __init__(self):
        self.notes: list[str] = []

    def start(self, params, vectors, z):
        self.notes.append("asked")

        def images():
            self.notes.append("waited")
            return np.full((len(z), 48, 64, 3), -1, np.float32)

        return images


def go(folder, trainer, start: int = 0, stop: StopSignal | None = None, sampler=None, **changes) -> Run:
    """Runs the loop in `folder` from a state after `start` steps."""
    config = tiny.config(**changes)
    model = workdir.Model(make_plan(48, 64, 3, 64, config.model), PICTURE, "a.png", workdir.digest(FRAMES))
    workdir.open_for_training(folder / "run", config, model, FRAMES).release()
    with (
        Checkpoints(folder / workdir.CHECKPOINTS, config.keep_checkpoints) as checkpoints,
        Writer(folder / "run", start) as writer,
        tqdm(disable=True) as bar,
    ):

        run = Run(config, state_at(start), FRAMES, checkpoints, writer, sampler or Black())
        (ended,) = Loop(trainer, bar).run(iter([run]), stop or StopSignal())
        assert ended is run
    return run


def logged(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "run" / workdir.SCALARS).read_text().splitlines()]


def grids(folder) -> list[int]:
    return sorted(int(path.stem.removeprefix("step_")) for path in (folder / "run" / workdir.GRIDS).iterdir())


def test_everything_happens_at_its_steps(tmp_path):
    trainer = Counting()
    run = go(tmp_path, trainer, num_steps=47, log_every=5, sample_every=20, checkpoint_every=15, keep_checkpoints=2)
    assert run.finished and run.error is None and run.step == 47
    entries = logged(tmp_path)
    assert [entry["step"] for entry in entries] == [5, 10, 15, 20, 25, 30, 35, 40, 45, 47]
    # Means over the steps since the entry before.
    assert [entry["loss_g"] for entry in entries] == [3, 8, 13, 18, 23, 28, 33, 38, 43, 46.5]
    assert {entry["loss_d"] for entry in entries} == {1} and {entry["diversity"] for entry in entries} == {2}
    assert all(entry["steps_per_second"] > 0 for entry in entries)
    assert grids(tmp_path) == [20, 40, 47]
    assert steps_in(tmp_path / workdir.CHECKPOINTS) == [45, 47]
    assert trainer.calls[0][0] == 1 and trainer.calls[-1][1] == 47
    for (first, last), (following, _) in zip(trainer.calls, [*trainer.calls[1:], (48, 0)], strict=True):
        assert following == last + 1, "no step is left out or done twice"
        assert not any(step % 5 == 0 or step % 20 == 0 or step % 15 == 0 for step in range(first, last))


def test_samples_are_waited_for_when_the_next_steps_are_under_way(tmp_path):
    sampler = Black()
    trainer = Counting(after_call=lambda step: sampler.notes.append(f"steps to {step}"))
    every = {"log_every": 10, "sample_every": 10, "checkpoint_every": 10}
    go(tmp_path, trainer, num_steps=30, sampler=sampler, **every)
    notes = sampler.notes
    asked, waited = ([i for i, note in enumerate(notes) if note == kind] for kind in ("asked", "waited"))
    assert len(asked) == len(waited) == 3
    for begin, end in zip(asked[:2], waited[:2], strict=True):
        assert any(note.startswith("steps to") for note in notes[begin:end])
    assert notes[-2:] == ["asked", "waited"], "nothing follows the last steps"
    assert grids(tmp_path) == [10, 20, 30]


def test_calls_grow_where_steps_are_fast(tmp_path):
    trainer = Counting()
    every = {"log_every": 500, "sample_every": 500, "checkpoint_every": 500}
    go(tmp_path, trainer, num_steps=500, **every)
    assert trainer.calls[0] == (1, 1) and len(trainer.calls) < 50


def test_a_resumed_run_goes_on_with_the_same_steps(tmp_path):
    trainer = Counting()
    go(tmp_path, trainer, start=25, num_steps=40)
    assert trainer.calls[0][0] == 26
    assert [(entry["step"], entry["loss_g"]) for entry in logged(tmp_path)] == [(30, 28), (40, 35.5)]
    assert grids(tmp_path) == [40] and steps_in(tmp_path / workdir.CHECKPOINTS) == [30, 40]


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_ends_the_run_saved(tmp_path, name):
    stop = StopSignal()
    trainer = Counting(after_call=lambda step: step >= 13 and setattr(stop, "name", name))
    run = go(tmp_path, trainer, stop=stop)
    assert not run.finished and run.error is None
    assert 13 <= run.step == trainer.calls[-1][1] <= 20, "no call after the signal's"
    assert steps_in(tmp_path / workdir.CHECKPOINTS) == [10, run.step]
    assert [entry["step"] for entry in logged(tmp_path)] == list(range(10, run.step + 1, 10))


def test_a_signal_before_the_first_step_saves_the_start(tmp_path):
    stop = StopSignal()
    stop.name = "SIGTERM"
    trainer = Counting()
    run = go(tmp_path, trainer, stop=stop)
    assert run.step == 0 and not trainer.calls and steps_in(tmp_path / workdir.CHECKPOINTS) == [0]


def test_a_loss_that_is_not_finite_ends_the_run_with_the_checkpoint_before(tmp_path):
    run = go(tmp_path, Counting(broken=23))
    assert "not finite between steps 20 and 30" in str(run.error)
    assert steps_in(tmp_path / workdir.CHECKPOINTS) == [10, 20]
    assert [entry["step"] for entry in logged(tmp_path)] == [10, 20], "no NaN in the log"


def test_weights_that_are_not_finite_are_never_saved(tmp_path):
    run = go(tmp_path, Counting(weights_broken=30))
    assert "params_g is not finite after step 30" in str(run.error)
    assert steps_in(tmp_path / workdir.CHECKPOINTS) == [10, 20]


@pytest.mark.parametrize("fault", [{"broken": 40}, {"weights_broken": 40}])
def test_a_fault_in_the_last_steps_counts_too(tmp_path, fault):
    run = go(tmp_path, Counting(**fault))
    assert run.error is not None
    assert steps_in(tmp_path / workdir.CHECKPOINTS) == [10, 20, 30]


def test_a_half_written_line_of_a_killed_run_and_repeated_steps_are_dropped(tmp_path):
    go(tmp_path, Counting(), num_steps=40)
    path = tmp_path / "run" / workdir.SCALARS
    path.write_text(path.read_text() + '{"step": 50, "loss_g": 4')
    with Writer(tmp_path / "run", 20) as writer:
        assert [entry["step"] for entry in logged(tmp_path)] == [10, 20]
        writer.scalars(30, 1.0, 1.0, {"loss_g": 1.5})
    assert [entry["step"] for entry in logged(tmp_path)] == [10, 20, 30]


def test_signals_are_noted_and_a_second_interrupt_is_not_held_back():
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with StopSignal().listening() as stop:
        assert stop.name is None
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.name == "SIGTERM"
    with StopSignal().listening() as stop, pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.name == "SIGINT"
        os.kill(os.getpid(), signal.SIGINT)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_tensorboard_reads_the_same_losses(tmp_path):
    """The event file by the format's own definition: records of length, checksum, bytes, checksum."""
    from tensorboardX.proto.event_pb2 import Event

    go(tmp_path, Counting(), num_steps=40)
    (path,) = (tmp_path / "run" / workdir.TENSORBOARD).iterdir()
    data, events = path.read_bytes(), []
    while data:
        length = int.from_bytes(data[:8], "little")
        events.append(Event.FromString(data[12 : 12 + length]))
        data = data[16 + length :]
    assert events[0].file_version == "brain.Event:2"
    curves: dict[str, list] = {}
    for event in events:
        for value in event.summary.value:
            curves.setdefault(value.tag, []).append((event.step, value.simple_value))
    assert curves["loss_g"] == [(entry["step"], entry["loss_g"]) for entry in logged(tmp_path)]
    assert [step for step, _ in curves["samples"]] == [20, 40]
