"""How long training takes is said before it starts, and in a file progress is lines."""

import dataclasses
import io
import re
import types

import pytest
import tiny_trainer

from siv_jax.cli import progress
from siv_jax.config import Config
from siv_jax.train import estimate, speed


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "0 seconds"),
        (41.4, "41 seconds"),
        (89, "89 seconds"),
        (91, "1.5 minutes"),
        (754, "13 minutes"),
        (3600 * 9.94, "9.9 hours"),
        (3600 * 312, "310 hours"),
        (3600 * 31234, "31,000 hours"),
    ],
)
def test_durations_have_two_digits(seconds, words):
    assert estimate.in_words(seconds) == words


def task(time_limit: str = "", num_steps: int = 1000, stages: int = 1):
    config = dataclasses.replace(Config(), time_limit=time_limit)
    return types.SimpleNamespace(config=config, num_steps=num_steps, stages=[None] * stages)


def test_the_estimate_counts_what_is_left_and_knows_the_limit():
    assert estimate.line(0.1, task()) == "time      about 1.7 minutes for 1,000 steps on this machine"
    assert estimate.line(0.1, task(), done=900).startswith("time      about 10 seconds for 100 steps")
    assert estimate.line(0.1, task("90s")).endswith(", cut off after 90s")
    assert "cut off" not in estimate.line(0.08, task("90s"))
    assert estimate.line(5.0, task()).endswith("; --config quick takes two minutes")
    assert "all 3 stages" in estimate.line(0.1, task(stages=3))


def test_the_speed_is_that_of_the_steps_and_leaves_the_state_alone(monkeypatch):
    tiny = tiny_trainer.compiled()
    counts, clock = [], [0.0]

    class Spied:
        def __getattr__(self, name):
            return getattr(tiny.program, name)

        def advance(self, state, totals, data, key, start, count):
            counts.append(count)
            clock[0] += 0.03 * count
            return tiny.program.advance(state, totals, data, key, start, count)

    monkeypatch.setattr(speed.time, "monotonic", lambda: clock[0])
    start = tiny.start()
    before = start.params_g.copy()
    assert speed.seconds_per_step(Spied(), start, tiny.frames, tiny_trainer.root(0)) == pytest.approx(0.03)
    assert counts == [1, 1, 2, 4]
    assert (start.params_g == before).all()


def test_pictures_that_go_into_a_file_are_told_in_lines_where_they_take_long(monkeypatch):
    for pause, told in [(0.0, ["0 of 3", "1 of 3", "2 of 3", "3 of 3"]), (30.0, [])]:
        stream = io.StringIO()
        monkeypatch.setattr("sys.stderr", stream)
        monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", pause)
        assert list(progress.pictures(iter("abc"), 3)) == list("abc")
        lines = stream.getvalue().split("\n")[:-1]
        assert "\r" not in stream.getvalue() and all(re.search(r" so far, (00:00|\?) left$", line) for line in lines)
        assert sorted({line.split(" pictures, ")[0] for line in lines}) == told


def test_progress_in_a_file_is_whole_lines(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0.0)
    with progress.display(40, 10, disable=False) as bar:
        for _ in range(3):
            bar.set_postfix_str("loss 0.5", refresh=False)
            bar.update(10)
    lines = stream.getvalue().split("\n")
    assert "\r" not in stream.getvalue() and lines[-1] == ""
    assert re.fullmatch(r"40 of 40 steps, .*it/s, 00:0\d so far, 00:00 left, loss 0.5", lines[-2])
    done = [int(line.split(" of ")[0]) for line in lines[:-1]]
    assert done[0] == 10 and done == sorted(done) and len(lines) == len(set(lines))
