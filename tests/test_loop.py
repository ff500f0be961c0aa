"""When a run logs, draws, saves and stops."""

import io
import json
import os
import shutil
import signal

import jax.numpy as jnp
import numpy as np
import pytest
import toy.family
import toy_runs
from tqdm import tqdm

from siv_jax.cli import progress
from siv_jax.errors import DivergedError
from siv_jax.train.devices import Program
from siv_jax.train.output import Output
from siv_jax.train.run import Run
from siv_jax.train.stop_signal import StopSignal
from siv_jax.workdir import layout
from siv_jax.workdir.logs import Logs, entries, seconds_trained


@pytest.fixture
def calls(monkeypatch) -> list[tuple[int, int]]:
    """(first step, steps) of every call of the compiled loop, counted within the stage."""
    found, advance = [], Program.advance

    def spied(self, state, totals, data, key, start, count):
        found.append((start, count))
        return advance(self, state, totals, data, key, start, count)

    monkeypatch.setattr(Program, "advance", spied)
    monkeypatch.setattr(Run, "seconds_per_step", lambda self: 0.01)  # which makes steps of its own
    return found


@pytest.fixture
def counting(monkeypatch):
    """The toy's step with the number of the step, from 1, as its metric."""

    def step(self, state, data, key, step):
        return state, {"error": (step + 1).astype(jnp.float32), "other": jnp.float32(1.0)}

    monkeypatch.setattr(toy.family.Stage, "step", step)


def broken_from(monkeypatch, number: int, what: str) -> None:
    """Makes a metric or the weights NaN from this step of a stage on."""
    step = toy.family.Stage.step

    def broken(self, state, data, key, step_number):
        state, metrics = step(self, state, data, key, step_number)
        bad = jnp.where(step_number + 1 >= number, jnp.float32(jnp.nan), jnp.float32(0.0))
        if what == "metric":
            return state, {"error": metrics["error"] + bad}
        return {"scales": [*state["scales"][:-1], state["scales"][-1] + bad]}, {"error": jnp.float32(0.0)}

    monkeypatch.setattr(toy.family.Stage, "step", broken)


def grids(folder) -> list[int]:
    return sorted(int(path.stem.removeprefix("step_")) for path in (folder / layout.GRIDS).iterdir())


def test_everything_happens_at_its_steps(tmp_path, counting, calls):
    folder = tmp_path / "run"
    every = {"log_every": 4, "sample_every": 14, "checkpoint_every": 9, "keep_checkpoints": 2}
    toy_runs.train(folder, **every, model__steps_per_stage=15)
    logged = toy_runs.logged(folder)
    # A stage's last step is logged, too, so that no entry mixes two stages.
    assert [entry["step"] for entry in logged] == [4, 8, 12, 15, 16, 20, 24, 28, 30]
    # Means over the steps since the entry before; each stage counts its own steps.
    assert [entry["error"] for entry in logged] == [2.5, 6.5, 10.5, 14, 1, 3.5, 7.5, 11.5, 14.5]
    assert {entry["other"] for entry in logged} == {1}
    assert grids(folder) == [0, 14, 28, 30]
    assert toy_runs.steps_in(folder) == [27, 30]
    steps = [start + i for start, count in calls for i in range(count)]
    assert steps == [*range(15), *range(15)], "no step is left out or done twice"
    for start, count in calls[: len(calls) // 2]:
        assert not any(step % 4 == 0 or step % 14 == 0 or step % 9 == 0 for step in range(start + 1, start + count))


def test_samples_are_waited_for_when_the_next_steps_are_under_way(tmp_path, calls, monkeypatch):
    written, write = [], Output.write_grid

    def noted(self, step, *given):
        written.append((step, len(calls)))
        write(self, step, *given)

    monkeypatch.setattr(Output, "write_grid", noted)
    every = {"log_every": 40, "sample_every": 5, "checkpoint_every": 40}
    toy_runs.train(tmp_path / "run", **every)
    assert written[0] == (0, 1), "the first grid is written while the first call is under way"
    for step, dispatched in written[1:4]:
        ended = next(i for i, (start, count) in enumerate(calls) if start + count == step)
        assert dispatched == ended + 2, "the call after the grid's was dispatched before the grid was written"


def test_calls_grow_where_steps_are_fast(tmp_path, calls):
    every = {"log_every": 1000, "sample_every": 1000, "checkpoint_every": 1000}
    toy_runs.train(tmp_path / "run", **every, model__steps_per_stage=500)
    assert calls[0] == (0, 1) and len(calls) < 100


def test_steps_that_are_under_way_are_not_told_as_done(tmp_path, calls, monkeypatch):
    """A call returns before its steps are made: a display that counted them would promise too much."""
    seen = []

    class Bar(tqdm):
        def update(self, n=1):
            super().update(n)
            seen.append((self.n, sum(count for _, count in calls), calls[-1][1]))

    monkeypatch.setattr(progress, "display", lambda total, initial, disable: Bar(total=total, file=io.StringIO()))
    toy_runs.train(tmp_path / "run", log_every=1000, sample_every=1000, checkpoint_every=1000)
    assert seen[-1][:2] == (40, 40)
    for told, dispatched, newest in seen:
        assert told == (dispatched if dispatched in (20, 40) else dispatched - newest)


@pytest.mark.posix
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_ends_the_run_saved(tmp_path, name, calls):
    def watch(step):
        os.kill(os.getpid(), getattr(signal, name))

    stopped, said = toy_runs.train(tmp_path / "run", watch=watch)
    assert stopped == name
    last = toy_runs.steps_in(tmp_path / "run")[-1]
    assert 10 <= last <= 20
    page = tmp_path / "run" / "index.html"
    assert said[-1].startswith(f"stopped by {name} after step {last}; saved, to be seen in {page}. The same command")
    assert f"watch     {page}" in said


@pytest.mark.posix
def test_a_signal_before_the_first_step_saves_the_start(tmp_path, calls, monkeypatch):
    begin = Run.begin

    def begins(self):
        begin(self)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Run, "begin", begins)
    assert toy_runs.train(tmp_path / "run")[0] == "SIGTERM"
    assert not calls and toy_runs.steps_in(tmp_path / "run") == [0]


def test_a_metric_that_is_not_finite_ends_the_run_with_the_checkpoint_before(tmp_path, monkeypatch):
    broken_from(monkeypatch, 13, "metric")
    said = r"not finite between steps 10 and 15; the checkpoint after step 10 .* good"
    with pytest.raises(DivergedError, match=said):
        toy_runs.train(tmp_path / "run")
    assert toy_runs.steps_in(tmp_path / "run") == [10]
    assert [entry["step"] for entry in toy_runs.logged(tmp_path / "run")] == [5, 10], "no NaN in the log"


@pytest.mark.parametrize(("number", "kept"), [(8, []), (15, [10])])
def test_weights_that_are_not_finite_are_never_saved(tmp_path, monkeypatch, number, kept):
    broken_from(monkeypatch, number, "weights")
    with pytest.raises(DivergedError, match="scales/0 is not finite after step"):
        toy_runs.train(tmp_path / "run")
    assert toy_runs.steps_in(tmp_path / "run") == kept


def test_a_half_written_line_of_a_killed_run_and_repeated_steps_are_dropped(tmp_path):
    folder = tmp_path / "run"
    toy_runs.train(folder)
    path = folder / layout.SCALARS
    path.write_text(path.read_text() + '{"step": 50, "error": 4')
    with Logs(folder).opened(20) as logs:
        assert [entry["step"] for entry in entries(folder)] == [5, 10, 15, 20]
        logs.scalars(30, 1.0, 1.0, {"error": 1.5})
    assert [entry["step"] for entry in entries(folder)] == [5, 10, 15, 20, 30]


def test_a_run_whose_last_checkpoint_is_damaged_ends_as_undisturbed(tmp_path):
    toy_runs.train(tmp_path / "run")
    shutil.copytree(tmp_path / "run", tmp_path / "undisturbed")
    shutil.rmtree(tmp_path / "run" / layout.CHECKPOINTS / "40" / "weights")
    watched: list[int] = []
    _, said = toy_runs.train(tmp_path / "run", watch=watched.append)
    assert any("the one before is used" in line for line in said) and watched == [40]
    toy_runs.assert_same_run(tmp_path / "run", tmp_path / "undisturbed")


@pytest.mark.parametrize(
    "line",
    [
        '{"step": 9}',
        '{"step": 9, "seconds": 1, "steps_per_second": "fast"}',
        '{"step": 9, "seco}',
        "[9]}",
        "[" * 10**5 + "}",
    ],
    ids=range(5),
)
def test_damaged_lines_are_left_out(tmp_path, line):
    good = '{"step": 3, "seconds": 1.0, "steps_per_second": 2.0}'
    (tmp_path / layout.SCALARS).write_text(f"{good}\n{line}\n{good}\n")
    assert [entry["step"] for entry in entries(tmp_path)] == [3, 3]


def test_the_clock_of_several_resumptions():
    assert seconds_trained([{"seconds": second} for second in (1, 2, 5, 1, 4, 2)]) == 5 + 4 + 2
    assert seconds_trained([]) == 0


@pytest.mark.posix
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


@pytest.mark.posix
def test_a_signal_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignal().listening() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop.name is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_tensorboard_reads_the_same_losses(tmp_path):
    """The event file by the format's own definition: records of length, checksum, bytes, checksum."""
    from tensorboardX.proto.event_pb2 import Event

    toy_runs.train(tmp_path / "run")
    (path,) = (tmp_path / "run" / layout.TENSORBOARD).iterdir()
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
    lines = [json.loads(line) for line in (tmp_path / "run" / layout.SCALARS).read_text().splitlines()]
    assert [step for step, _ in curves["error"]] == [line["step"] for line in lines]
    np.testing.assert_allclose([value for _, value in curves["error"]], [line["error"] for line in lines], rtol=1e-6)
    assert [step for step, _ in curves["samples"]] == [0, 10, 20, 30, 40]
