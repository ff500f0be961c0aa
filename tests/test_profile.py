"""A run that records a trace: of the steps asked for, in a form that viewers read, and otherwise the same run."""

import gzip
import json

import jax
import numpy as np
import pytest
import tiny

from siv_jax.data import load_frames
from siv_jax.errors import UserError
from siv_jax.models.siv_gan.state import init_state
from siv_jax.train import devices as parallel
from siv_jax.train import single as training
from siv_jax.workdir import layout as workdir
from siv_jax.workdir.checkpoint import Checkpoints


def trained(folder, **changes):
    """The final state of a tiny run."""
    config = tiny.config(num_steps=12, log_every=4, sample_every=12, **changes)
    assert training.train(config, folder, 1, dry_run=False, say=str) is None
    with Checkpoints(folder / workdir.CHECKPOINTS, 3) as checkpoints:
        return checkpoints.restore(like=init_state(load_frames(config.data, config.model)[1], config))


def test_the_steps_asked_for_are_recorded(tmp_path, monkeypatch):
    recording, calls = [], []
    start, stop, advance = jax.profiler.start_trace, jax.profiler.stop_trace, parallel.Trainer.advance

    def spied_start(*arguments, **options):
        recording.append(True)
        start(*arguments, **options)

    def spied_stop():
        recording.clear()
        stop()

    def spied_advance(self, state, totals, frames, count):
        calls.append((bool(recording), count))
        return advance(self, state, totals, frames, count)

    monkeypatch.setattr(jax.profiler, "start_trace", spied_start)
    monkeypatch.setattr(jax.profiler, "stop_trace", spied_stop)
    monkeypatch.setattr(parallel.Trainer, "advance", spied_advance)
    found = trained(tmp_path / "recorded", profile=5)
    assert not calls[0][0], "the first call warms up"
    assert sum(count for on, count in calls if on) == 5 and sum(count for _, count in calls) == 12
    assert not recording
    (trace,) = (tmp_path / "recorded" / workdir.PROFILE).rglob("perfetto_trace.json.gz")
    (for_tensorboard,) = (tmp_path / "recorded" / workdir.PROFILE).glob("plugins/profile/*/*.xplane.pb")
    events = json.loads(gzip.decompress(trace.read_bytes()))["traceEvents"]
    assert any("fusion" in event["name"] for event in events) and for_tensorboard.stat().st_size > 0
    jax.tree.map(np.testing.assert_array_equal, found, trained(tmp_path / "plain"))


def test_a_run_that_ends_early_leaves_what_it_recorded(tmp_path):
    trained(tmp_path / "run", profile=1000)
    assert list((tmp_path / "run" / workdir.PROFILE).rglob("perfetto_trace.json.gz"))


def test_a_fleet_is_not_profiled():
    with pytest.raises(UserError, match="profile records a run of one model"):
        tiny.config(fleet__enabled=True, profile=5)
