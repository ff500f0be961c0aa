"""A run that records a trace: of the steps asked for, in a form that viewers read, and otherwise the same run."""

import gzip
import json

import jax
import pytest
import toy_runs

from siv_jax.errors import UserError
from siv_jax.train.devices import Program
from siv_jax.train.run import Run
from siv_jax.workdir import layout


def test_the_steps_asked_for_are_recorded(tmp_path, monkeypatch):
    recording, calls = [], []
    start, stop, advance = jax.profiler.start_trace, jax.profiler.stop_trace, Program.advance

    def spied_start(*arguments, **options):
        recording.append(True)
        start(*arguments, **options)

    def spied_stop():
        recording.clear()
        stop()

    def spied_advance(self, state, totals, data, key, at, count):
        calls.append((bool(recording), count))
        return advance(self, state, totals, data, key, at, count)

    monkeypatch.setattr(jax.profiler, "start_trace", spied_start)
    monkeypatch.setattr(jax.profiler, "stop_trace", spied_stop)
    monkeypatch.setattr(Program, "advance", spied_advance)
    monkeypatch.setattr(Run, "seconds_per_step", lambda self: 0.01)  # which makes steps of its own
    toy_runs.train(tmp_path / "recorded", profile=5)
    assert not calls[0][0], "the first call warms up"
    assert sum(count for on, count in calls if on) == 5 and sum(count for _, count in calls) == 40
    assert not recording
    (trace,) = (tmp_path / "recorded" / layout.PROFILE).rglob("perfetto_trace.json.gz")
    (for_tensorboard,) = (tmp_path / "recorded" / layout.PROFILE).glob("plugins/profile/*/*.xplane.pb")
    events = json.loads(gzip.decompress(trace.read_bytes()))["traceEvents"]
    assert len(events) > 5 and for_tensorboard.stat().st_size > 0
    toy_runs.train(tmp_path / "plain")
    toy_runs.assert_same_run(tmp_path / "recorded", tmp_path / "plain")


def test_a_run_that_ends_early_leaves_what_it_recorded(tmp_path):
    toy_runs.train(tmp_path / "run", profile=1000)
    assert list((tmp_path / "run" / layout.PROFILE).rglob("perfetto_trace.json.gz"))


def test_a_fleet_is_not_profiled():
    with pytest.raises(UserError, match="profile records a run of one model"):
        toy_runs.config(fleet__enabled=True, profile=5)
