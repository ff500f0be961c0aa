"""A run with a time limit ends cleanly when it is over."""

import dataclasses
import json
import shutil
import time
import types

import pytest
import toy_runs

from siv_jax.errors import UserError
from siv_jax.train import mean_metrics
from siv_jax.train.devices import Program
from siv_jax.train.run import Run
from siv_jax.workdir import layout, logs


def test_a_run_ends_at_its_time_limit_with_everything_written(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    monkeypatch.setattr(Run, "time_is_up", property(lambda run: run.step >= 27))
    stopped, said = toy_runs.train(folder, time_limit="2m")
    assert stopped is None
    (done,) = [line for line in said if line.startswith("done")]
    last = int(done.split()[1])
    assert 27 <= last < 40 and "the time limit of 2m" in done
    assert toy_runs.steps_in(folder)[-1] == last == toy_runs.logged(folder)[-1]["step"]
    assert (folder / layout.GRIDS / f"step_{last:08d}.png").exists()
    assert len(list((folder / layout.SAMPLES).glob("sample_*"))) == 4
    assert layout.load_record(folder).num_steps == last
    assert "pill finished" in (folder / "index.html").read_text()
    # Nothing is left to do for the same command, though the log may say a little less than the limit; under a later
    # limit the run goes on as if there had been none.
    monkeypatch.undo()
    before = toy_runs.arrays(folder)
    for limit in ("2m", "60s"):
        assert f"done      {last} steps, the time limit of {limit}" in toy_runs.train(folder, time_limit=limit)[1]
    for one, other in zip(toy_runs.arrays(folder), before, strict=True):
        assert (one == other).all()
    toy_runs.train(folder, time_limit="1h")
    toy_runs.train(tmp_path / "whole")
    for one, other in zip(toy_runs.arrays(folder), toy_runs.arrays(tmp_path / "whole"), strict=True):
        assert (one == other).all()


def test_time_of_steps_that_were_lost_does_not_count(tmp_path):
    """Killed after its last log entry and before its checkpoint; or the newest checkpoint is damaged."""
    folder = tmp_path / "run"
    toy_runs.train(folder, time_limit="1h")
    logged = [json.loads(line) for line in (folder / layout.SCALARS).read_text().splitlines()]
    lines = [entry | {"seconds": 100.0 * entry["step"]} for entry in logged]
    (folder / layout.SCALARS).write_text("".join(json.dumps(line) + "\n" for line in lines))
    record = layout.load_record(folder)
    layout.save(folder, layout.load_config(folder), dataclasses.replace(record, seconds=5000.0))
    assert [logs.seconds_of_run(folder, step) for step in (0, 30, 40)] == [0.0, 3000.0, 5000.0]
    for step in toy_runs.steps_in(folder):
        shutil.rmtree(folder / layout.CHECKPOINTS / str(step))
    _, said = toy_runs.train(folder, time_limit="1h")
    assert "done      40 steps" in said and toy_runs.steps_in(folder)[-1] == 40


def test_compiling_the_later_stages_takes_no_time_from_training(tmp_path, monkeypatch):
    clock, real, compile_ = [0.0], time.monotonic, Program.compile

    def compiled(self, *arguments):
        clock[0] += 7200.0
        compile_(self, *arguments)

    monkeypatch.setattr(time, "monotonic", lambda: real() + clock[0])
    monkeypatch.setattr(Program, "compile", compiled)
    _, said = toy_runs.train(tmp_path / "run", time_limit="1h")
    assert "done      40 steps" in said and clock[0] >= 2 * 7200.0
    assert logs.seconds_of_run(tmp_path / "run", 40) < 3600


def test_time_adds_up_over_stages_and_resumptions(tmp_path, monkeypatch):
    now, old = [5.0], {"steps_per_second": 1.0, "error": 0.5}
    # An older version began its clock at zero each time.
    lines = [{"step": step, "seconds": seconds} | old for step, seconds in ((1, 50.0), (2, 60.0), (3, 20.0), (9, 30.0))]
    (tmp_path / layout.SCALARS).write_text("".join(json.dumps(line) + "\n" for line in lines))
    monkeypatch.setattr(mean_metrics, "time", types.SimpleNamespace(monotonic=lambda: now[0]))
    with logs.Logs(tmp_path).opened(3) as opened:
        metrics = mean_metrics.MeanMetrics(3, opened, {}, logs.seconds_trained(logs.entries(tmp_path)))

        def train(step: int, seconds: float) -> None:
            now[0] += seconds
            metrics.due(step, {"error": 1.0})
            metrics.flush()

        assert metrics.seconds == 80.0
        metrics.begin()
        train(5, 100.5)
        metrics.pause()
        now[0] += 1000.0
        metrics.begin()
        train(6, 200.0)
        assert metrics.seconds == 380.5
        metrics.pause(at_least=400.0)
        assert metrics.seconds == 400.0
    found = logs.entries(tmp_path)
    assert [entry["seconds"] for entry in found] == [50.0, 60.0, 80.0, 180.5, 380.5]
    assert found[3]["steps_per_second"] == pytest.approx(2 / 100.5, abs=1e-3)
    assert logs.seconds_trained(found) == 380.5


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("2m", 120), ("1.5h", 5400)])
def test_times(text, seconds):
    assert toy_runs.config(time_limit=text).seconds == seconds


def test_no_time_at_all_is_refused():
    with pytest.raises(UserError, match="no time at all; empty is no limit"):
        toy_runs.config(time_limit="0.0m")


@pytest.mark.parametrize("text", ["2", "m", "-2m", "2 m", "2d"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(UserError, match=r"a time such as 90s, 2m or 1\.5h"):
        toy_runs.config(time_limit=text)
