"""Several real processes train one model: the same run however they are cut, killed, stopped and resumed."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiny
import toy_runs

from siv_jax.cli import training_flags as arguments
from siv_jax.errors import UserError
from siv_jax.workdir import layout as workdir

pytestmark = pytest.mark.posix

LAUNCHER = Path(__file__).parent.parent / "launch" / "local_processes.py"
# The toy family, whose processes start in seconds: what is cut and resumed is the same for every family.
STEPS, SAVED_EVERY = 2000, 50
TOY = {"model.steps_per_stage": STEPS // 2, "log_every": 50, "checkpoint_every": SAVED_EVERY, "sample_every": 500}
SIV_GAN = {"batch_size": 16, "num_steps": 8, "log_every": 4, "checkpoint_every": 8, "sample_every": 8}
DEADLINE = 900.0  # seconds; only there so that a run that hangs fails the test


class Job:
    """`processes` of the training command with some devices each, started together by the launcher."""

    def __init__(self, arguments: list[str], processes: int, devices: int, output: Path):
        module = [sys.executable, "-m", "siv_jax.main", *arguments]
        launcher = [sys.executable, LAUNCHER, "--processes", str(processes), "--devices", str(devices)]
        self._output = output
        with open(output, "w") as file:
            self._launcher = subprocess.Popen(
                [*launcher, "--grace", "100", "--", *module], env=tiny.environment(), stdout=file, stderr=file
            )

    def wait_for(self, happened: Callable[[], bool]) -> None:
        end = time.monotonic() + DEADLINE
        while not happened():
            assert self._launcher.poll() is None, f"it ended by itself:\n{self.output()}"
            if time.monotonic() > end:
                self._launcher.terminate()
                raise AssertionError(f"nothing happened:\n{self.output()}")
            time.sleep(0.02)

    def send(self, process: int, number: int) -> None:
        """Sends a signal to one of the processes."""
        children = Path(f"/proc/{self._launcher.pid}/task/{self._launcher.pid}/children").read_text().split()
        for child in map(int, children):
            words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
            if words[words.index(b"--process_id") + 1] == str(process).encode():
                os.kill(child, number)
                return  # what it does to the others shows in their own ends

    def end(self) -> int:
        """The launcher's exit code: that of the first process that failed."""
        return self._launcher.wait(timeout=DEADLINE)

    def output(self) -> str:
        return self._output.read_text()


def toy_arguments(folder: Path) -> list[str]:
    flags = [f"--config.{key}={value}" for key, value in TOY.items()]
    arguments = toy_runs.arguments(folder, folder.with_suffix(".py"))
    return [*arguments[: arguments.index("--devices")], *flags]


def finish(arguments: list[str], processes: int, devices: int, output: Path) -> str:
    job = Job(arguments, processes, devices, output)
    assert job.end() == 0, job.output()
    return job.output()


@pytest.fixture(scope="module")
def reference(tmp_path_factory) -> Path:
    """A run of four processes with a device each, which nothing disturbed."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    output = finish(toy_arguments(folder), 4, 1, folder.with_suffix(".txt"))
    assert workdir.completed_steps(folder) == STEPS
    # One of them says what all would say.
    assert output.count(f"done      {STEPS} steps") == output.count("training  Toy at") == 1
    assert len(list((folder / workdir.SAMPLES).glob("sample_*.png"))) == 4
    return folder


def test_stopped_killed_and_resumed_by_other_processes(reference, tmp_path):
    folder = tmp_path / "run"

    def reached(step: int) -> Callable[[], bool]:
        return lambda: workdir.completed_steps(folder) >= step

    # A signal to one of two stops both, after the same step.
    job = Job(toy_arguments(folder), 2, 2, tmp_path / "stopped.txt")
    job.wait_for(reached(SAVED_EVERY))
    job.send(1, signal.SIGTERM)
    assert job.end() == 143, job.output()
    stopped = int(re.search(r"\[0\] stopped by SIGTERM after step (\d+); saved", job.output()).group(1))
    assert workdir.completed_steps(folder) == stopped < STEPS
    assert "exit code 143" in job.output() and "Traceback" not in job.output()

    # Other processes with other devices go on. Without one of them the others end, too; and again without the first of
    # them, where the others meet.
    for killed, (processes, devices) in ((2, (4, 1)), (0, (2, 2))):
        job = Job(toy_arguments(folder), processes, devices, tmp_path / f"killed{killed}.txt")
        job.wait_for(reached(workdir.completed_steps(folder) + SAVED_EVERY))
        job.send(killed, signal.SIGKILL)
        assert job.end() == 128 + signal.SIGKILL, job.output()
        assert "Traceback" not in job.output()

    output = finish(toy_arguments(folder), 2, 2, tmp_path / "finished.txt")
    assert re.search(r"\[0\] resuming  .* after step \d+", output)
    for found, expected in zip(toy_runs.arrays(folder), toy_runs.arrays(reference), strict=True):
        np.testing.assert_array_equal(found, expected)
    for kind in (workdir.SAMPLES, workdir.GRIDS):
        expected = {path.name: path.read_bytes() for path in (reference / kind).iterdir()}
        assert {path.name: path.read_bytes() for path in (folder / kind).iterdir()} == expected


def test_several_processes_train_siv_gan_as_one_with_as_many_devices(tmp_path):
    several, one = tmp_path / "several", tmp_path / "one"
    finish(tiny.arguments(several, **SIV_GAN), 2, 2, tmp_path / "several.txt")
    done = tiny.command("siv_jax.main", *tiny.arguments(one, **SIV_GAN), devices=4)
    assert done.returncode == 0, done.stderr
    # Processes add gradients up in another order than devices of one process do: training drifts by rounding.
    for found, expected in zip(toy_runs.arrays(several), toy_runs.arrays(one), strict=True):
        assert np.abs(found - expected).mean() <= 0.01 * np.abs(expected).mean()


def test_what_only_one_process_finds_ends_all(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "notes.txt").write_text("not a run")
    job = Job(toy_arguments(folder), 2, 2, tmp_path / "taken.txt")
    assert job.end() == 2
    assert f"[0] error: {folder} holds notes.txt but no config.json" in job.output()
    assert "[1] error: another process of this job cannot begin; what it printed says why" in job.output()
    assert "Traceback" not in job.output() and [path.name for path in folder.iterdir()] == ["notes.txt"]


def test_flags_of_a_job():
    base = ["--config", "single_image"]
    given = ["--distributed", "--coordinator_address", "10.0.0.1:8476", "--num_processes=4", "--process_id", "3"]
    assert arguments.parse([*base, *given]).job == arguments.Job("10.0.0.1:8476", 4, 3)
    assert arguments.parse([*given, *base]).job == arguments.Job("10.0.0.1:8476", 4, 3)
    assert arguments.parse([*base, "--distributed"]).job == arguments.Job(None, None, None)
    assert arguments.parse(base).job is None
    for flags, said in [
        (["--process_id", "1"], "--process_id is for several processes that train together: add --distributed"),
        (["--distributed", "--coordinator_address=here"], "--coordinator_address here is not HOST:PORT"),
        (["--distributed", "--coordinator_address=here:99999"], "--coordinator_address here:99999 is not HOST:PORT"),
        (["--distributed", "--num_processes=2", "--process_id=2"], "2 processes are numbered from 0 to 1"),
        (["--distributed", "--num_processes=0"], "num_processes"),
    ]:
        with pytest.raises(UserError, match=said):
            arguments.parse([*base, *flags])


def test_a_job_that_cannot_be_joined(tmp_path):
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        place = (f"--coordinator_address=127.0.0.1:{port}", "--num_processes=2", "--process_id=0")
        for flags, said in [((), "this process cannot join a job: "), (place, f"port {port} of --coordinator_address")]:
            done = tiny.command("siv_jax.main", *tiny.arguments(tmp_path / "run"), "--distributed", *flags)
            assert done.returncode == 2, done.stderr
            assert done.stderr.startswith(f"error: {said}") and len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "run").exists()
