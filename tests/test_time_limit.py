"""A run with a time limit ends cleanly when it is over."""

import pytest
import toy_runs

from siv_jax.errors import UserError
from siv_jax.train.run import Run
from siv_jax.workdir import layout


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
    # Nothing is left to do for the same command; without the limit the run goes on as if there had been none.
    assert f"done      {last} steps, the time limit of 2m" in toy_runs.train(folder, time_limit="2m")[1]
    monkeypatch.undo()
    toy_runs.train(folder)
    toy_runs.train(tmp_path / "whole")
    for one, other in zip(toy_runs.arrays(folder), toy_runs.arrays(tmp_path / "whole"), strict=True):
        assert (one == other).all()


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
