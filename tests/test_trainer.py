"""The process that the app trains in: one at a time, found again by its number and its command."""

import errno
import json
import signal
import subprocess
import sys
import threading
import time

import filelock
import pytest

from siv_jax.errors import UserError
from siv_jax.web import trainer

pytestmark = pytest.mark.posix


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Of runs, in which a shell script that waits stands in for siv_jax.main: bash takes -m and then a file."""
    (tmp_path / "siv_jax.main").write_text("for i in $(seq 600); do sleep 0.1; done\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", "/bin/bash")
    runs = tmp_path / "runs"
    for name in "ab":
        (runs / name).mkdir(parents=True)
    yield runs
    if trainer.current(runs) is not None:
        trainer.stop(runs)


def wait_until_idle(folder):
    deadline = time.monotonic() + 60
    while trainer.current(folder) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_of_two_starts_at_once_one_is_refused(folder):
    together, refused = threading.Barrier(2), []

    def start(run: str):
        together.wait()
        try:
            trainer._train(folder, run, [])
        except UserError as error:
            refused.append((run, str(error)))

    threads = [threading.Thread(target=start, args=name) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ((loser, said),) = refused
    winner = "ab".replace(loser, "")
    assert trainer.current(folder).run == winner and said.startswith(f"{winner} is in training")
    trainer.stop(folder)
    wait_until_idle(folder)
    with pytest.raises(UserError, match="nothing is in training"):
        trainer.stop(folder)
    trainer._train(folder, loser, [])
    assert trainer.current(folder).run == loser


def test_another_process_with_the_number_of_a_training_is_none(folder):
    trainer._train(folder, "a", [])
    claim = folder / ".training"
    ours = json.loads(claim.read_text())
    assert trainer.current(folder) == trainer.Training("a", ours["pid"])
    other = subprocess.Popen(["sleep", "60"])
    try:
        claim.write_text(json.dumps(ours | {"pid": other.pid}))
        assert trainer.current(folder) is None
        with pytest.raises(UserError, match="nothing is in training"):
            trainer.stop(folder)
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()
    claim.write_text(json.dumps(ours | {"pid": other.pid}))
    assert trainer.current(folder) is None, "the number of a process that has ended"
    claim.write_text(json.dumps({"run": "a", "pid": ours["pid"]}))
    assert trainer.current(folder) is None, "as an older version wrote it"
    claim.write_text("{")
    assert trainer.current(folder) is None
    claim.write_text(json.dumps(ours))
    assert trainer.current(folder) is not None


def test_what_fails_on_a_full_disk_leaves_nothing(folder, tmp_path, monkeypatch):
    photo = tmp_path / "photo.png"
    photo.write_bytes(b"x" * 1000)
    monkeypatch.setattr(trainer, "_require_trainable", lambda config, flags: None)

    def full(*given):
        raise OSError(errno.ENOSPC, "No space left on device")

    started = []
    popen = subprocess.Popen

    def starting(*given, **options):
        started.append(popen(*given, **options))
        return started[-1]

    monkeypatch.setattr(trainer.subprocess, "Popen", starting)
    for module, name in ((trainer.shutil, "copyfile"), (trainer.layout, "write_text")):
        with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
            patch.setattr(module, name, full)
            trainer.start(folder, [str(photo)], "quick", "c")
        assert not (folder / "c").exists() and trainer.current(folder) is None
    (process,) = started
    assert process.returncode == -signal.SIGKILL, "a training that nobody would find again"


def test_a_start_waits_for_another_one_and_says_what_it_waited_for(folder, monkeypatch):
    monkeypatch.setattr(trainer, "_PATIENCE", 0.1)
    with (
        filelock.FileLock(folder / ".training.lock"),
        pytest.raises(UserError, match="another training is just being started: try again"),
    ):
        trainer._train(folder, "a", [])
    assert trainer.current(folder) is None
