"""How long training takes is said before it starts, and in a file progress is lines."""

import dataclasses
import io
import re
import types

import jax
import numpy as np
import pytest
import tiny_trainer

from siv_jax import config as config_lib
from siv_jax.cli import config_file, progress
from siv_jax.config import Config
from siv_jax.data import open_source
from siv_jax.train import estimate, single, speed


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


def task(time_limit: str = "", *num_steps: int):
    config, num_steps = dataclasses.replace(Config(), time_limit=time_limit), num_steps or (1000,)
    stages = [types.SimpleNamespace(num_steps=steps) for steps in num_steps]
    source = types.SimpleNamespace(name="a.png")
    return types.SimpleNamespace(config=config, num_steps=sum(num_steps), stages=stages, source=source)


def test_the_estimate_counts_what_is_left_and_knows_the_limit():
    one = np.ones(1)
    assert estimate.line(0.1, one, task()) == "time      about 1.7 minutes for 1,000 steps on this machine"
    assert estimate.line(0.1, one, task(), done=900).startswith("time      about 10 seconds for 100 steps")
    assert estimate.line(0.1, one, task("90s")).endswith(", cut off after 90s")
    assert "cut off" not in estimate.line(0.08, one, task("90s"))
    assert estimate.line(5.0, one, task()).endswith("; --config quick takes two minutes")


def test_later_stages_take_what_their_steps_cost():
    costs, of_three = np.array([2.0, 4.0, 60.0]), task("", 10, 20, 5)
    assert estimate.seconds_left(0.1, costs, of_three) == pytest.approx(10 * 0.1 + 20 * 0.2 + 5 * 3.0)
    # After 13 steps the second stage is under way, whose steps are those that were timed.
    assert estimate.seconds_left(0.2, costs, of_three, done=13) == pytest.approx(17 * 0.2 + 5 * 3.0)
    assert estimate.seconds_left(0.2, costs, of_three, done=10) == pytest.approx(20 * 0.2 + 5 * 3.0)
    assert estimate.line(100.0, costs, of_three).endswith("; --config quick takes two minutes")
    assert re.search("at least 4 seconds for .* 3 stages may take much longer", estimate.line(0.1, None, of_three))


def test_the_cost_of_a_stage_grows_with_its_pixels():
    config = config_lib.from_config_dict(config_file.load("singan_small"))
    config = config_lib.with_overrides(config, {"data.path": "example:balloons", "data.max_size": 40, "model.width": 2})
    made = single.make_task(config, open_source(config.data), shards=1)
    costs, pixels = estimate.costs(made, jax.devices()), [height * width for height, width in made.plan.sizes]
    assert len(costs) == len(pixels) > 1
    assert costs[-1] / costs[0] == pytest.approx(pixels[-1] / pixels[0], rel=0.5)


def test_a_fleet_takes_the_time_of_its_pictures():
    said = estimate.line_of_fleet(0.1, np.ones(1), task(), [1000, 1000, 400], devices=1)
    assert said == "time      about 4.0 minutes for 3 pictures on this machine, at the speed of a.png"
    assert " 2.0 minutes for 3 " in estimate.line_of_fleet(0.1, np.ones(1), task(), [1000, 1000, 400], devices=2)
    assert " 60 seconds for 2 " in estimate.line_of_fleet(0.1, np.ones(1), task("30s"), [1000, 1000], devices=1)
    assert "; --config quick " in estimate.line_of_fleet(5.0, np.ones(1), task(), [1000], devices=1)
    assert "quick" not in estimate.line_of_fleet(3.0, np.ones(1), task(), [1000, 1000], devices=1)


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
