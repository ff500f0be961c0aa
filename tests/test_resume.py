"""A run that is killed or stopped, again and again, ends as one that never was: same parameters, logs and samples."""

import contextlib
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tiny
import toy_runs

from siv_jax.workdir import layout as workdir

pytestmark = pytest.mark.posix

LOG_EVERY, CHECKPOINT_EVERY = 5, 10
RUN = {"num_steps": 300, "log_every": LOG_EVERY, "checkpoint_every": CHECKPOINT_EVERY, "sample_every": 60}
# As many devices as the test process has: all of them then share one compiled program.
DEVICES = 8
DEADLINE = 1500.0  # seconds; only there so that a run that hangs fails the test


def command(folder: Path) -> list[str]:
    return [sys.executable, "-m", "siv_jax.main", *tiny.arguments(folder, **RUN), "--devices", "1"]


class Started:
    """The command as a process, with what it prints in a file."""

    def __init__(self, folder: Path, output: Path):
        with open(output, "w") as file:
            self._process = subprocess.Popen(
                command(folder), env=tiny.environment(DEVICES), stdout=file, stderr=subprocess.STDOUT
            )
        self._output = output

    def wait_for(self, happened: Callable[[], bool]) -> None:
        end = time.monotonic() + DEADLINE
        while not happened():
            assert self._process.poll() is None, f"it ended by itself:\n{self._output.read_text()}"
            if time.monotonic() > end:
                self._process.kill()
                raise AssertionError(f"nothing happened:\n{self._output.read_text()}")
            time.sleep(0.002)

    def send(self, number: int) -> tuple[int, str]:
        """(exit code, output) after the signal."""
        self._process.send_signal(number)
        return self.end()

    def clear(self) -> None:
        """Leaves nothing running after a test that failed."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def end(self) -> tuple[int, str]:
        """(exit code, output) when it has ended by itself."""
        return self._process.wait(timeout=DEADLINE), self._output.read_text()


def last_logged(folder: Path) -> int:
    path = folder / workdir.SCALARS
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    complete = [line for line in lines if line.endswith("}\n")]
    return json.loads(complete[-1])["step"] if complete else 0


def assert_same_run(folder: Path, reference: Path) -> None:
    """Every array of the last checkpoint, the final samples and all grids are equal bit for bit."""
    assert toy_runs.steps_in(folder)[-1] == RUN["num_steps"]
    for found, expected in zip(toy_runs.arrays(folder), toy_runs.arrays(reference), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert toy_runs.pictures(folder) == toy_runs.pictures(reference) and len(toy_runs.pictures(folder)) > 6


Start = Callable[[Path, Path], Started]


@pytest.fixture(scope="module")
def start() -> Iterator[Start]:
    """Starts the command in a folder, with a file for its output."""
    with contextlib.ExitStack() as stack:

        def begin(folder: Path, output: Path) -> Started:
            run = Started(folder, output)
            stack.callback(run.clear)
            return run

        yield begin


@pytest.fixture(scope="module")
def undisturbed(start: Start, tmp_path_factory) -> Callable[[], Path]:
    """Waits for a run that nothing disturbs and that goes on beside the others; returns its folder."""
    folder = tmp_path_factory.mktemp("undisturbed")
    run = start(folder / "run", folder / "output.txt")

    def ended() -> Path:
        code, output = run.end()
        assert code == 0, output
        return folder / "run"

    return ended


def finish(start: Start, folder: Path) -> None:
    """Runs the command to its end."""
    code, output = start(folder, folder.parent / "finished.txt").end()
    assert code == 0, output


def test_killed_five_times_in_training_and_twice_before(start, undisturbed, tmp_path):
    folder, chance, killed_at = tmp_path / "run", random.Random(1), []
    for i, made in enumerate((workdir.SOURCE, workdir.PLAN)):
        run = start(folder, tmp_path / f"early{i}.txt")
        run.wait_for((folder / made).exists)
        assert run.send(signal.SIGKILL)[0] == -signal.SIGKILL
    for i in range(5):
        target = last_logged(folder) + LOG_EVERY * chance.randint(1, 4)
        run = start(folder, tmp_path / f"killed{i}.txt")
        run.wait_for(lambda target=target: last_logged(folder) >= target)
        # From here a checkpoint is being written in the background most of the time.
        time.sleep(chance.uniform(0.0, 0.1))
        code, output = run.send(signal.SIGKILL)
        assert code == -signal.SIGKILL, output
        killed_at.append(last_logged(folder))
    assert killed_at == sorted(killed_at) and killed_at[0] > 0 and killed_at[-1] < RUN["num_steps"]
    finish(start, folder)
    reference = undisturbed()
    assert_same_run(folder, reference)
    # Logged steps that were repeated stand there once, with the very same losses.
    steps = [entry["step"] for entry in toy_runs.logged(reference)]
    assert steps == list(range(LOG_EVERY, RUN["num_steps"] + 1, LOG_EVERY))
    assert toy_runs.logged(folder) == toy_runs.logged(reference)


def test_signals_save_and_the_same_command_goes_on(start, undisturbed, tmp_path):
    folder = tmp_path / "run"
    for number, expected in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
        target = last_logged(folder) + 3 * LOG_EVERY
        run = start(folder, tmp_path / f"{number.name}.txt")
        run.wait_for(lambda target=target: last_logged(folder) >= target)
        code, output = run.send(number)
        assert code == expected, output
        assert "Traceback" not in output
        saved = max(int(path.name) for path in (folder / workdir.CHECKPOINTS).iterdir())
        assert f"stopped by {number.name} after step {saved}; saved" in output
        assert target <= saved < RUN["num_steps"]
    finish(start, folder)
    reference = undisturbed()
    assert_same_run(folder, reference)
    found, expected = toy_runs.logged(folder), toy_runs.logged(reference)
    assert [entry["step"] for entry in found] == [entry["step"] for entry in expected]
