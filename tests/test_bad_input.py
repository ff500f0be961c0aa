"""Input that cannot be used ends in one clear line and exit code 2, and destroys nothing."""

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny
import tiny_workdir
from PIL import Image

from siv_jax import main, sample
from siv_jax.cli import process
from siv_jax.train import fleet
from siv_jax.workdir import layout


class Outcome:
    def __init__(self, code: int, stdout: str, stderr: str):
        self.code, self.stdout, self.stderr = code, stdout, stderr

    @property
    def line(self) -> str:
        """The complaint: the only line on the error stream but for progress bars, and no traceback."""
        written = self.stderr.replace("\r", "\n").splitlines()
        lines = [line for line in written if line.strip() and not re.search(r"\d+/\d+ \[.*it", line)]
        assert len(lines) == 1 and lines[0].startswith("error: "), self.stderr
        assert "Traceback" not in self.stderr + self.stdout
        return lines[0].removeprefix("error: ")


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs a command, siv_jax.main unless told, through its edge in this process, as `python -m` does in another."""

    def call(*argv: str, command=main) -> Outcome:
        monkeypatch.setattr(sys, "argv", [command.__name__, *map(str, argv)])
        with pytest.raises(SystemExit) as leaving:
            process.run(command.main)
        return Outcome(leaving.value.code, *capsys.readouterr())

    return call


def arguments(folder: Path, **changes) -> list[str]:
    return [*tiny.arguments(folder, **changes), "--devices", "1"]


def picture(path: Path, width: int = 64, height: int = 48) -> Path:
    waves = np.sin(np.arange(width * height * 3) / 50.0).reshape(height, width, 3)
    Image.fromarray(((waves + 1) * 127).astype(np.uint8)).save(path)
    return path


def truncated(path: Path) -> None:
    picture(path, 200, 150)
    path.write_bytes(path.read_bytes()[:2000])


def folder_of(path: Path, **files: str) -> None:
    path.mkdir()
    for name, text in files.items():
        (path / name).write_text(text)


# What is made at `path`, and words of the line about it.
INPUTS = {
    "absent.jpg": (lambda path: None, "does not exist"),
    "empty.png": (lambda path: path.write_bytes(b""), "empty (0 bytes)"),
    "truncated.jpg": (truncated, "truncated.jpg"),
    "text.jpg": (lambda path: path.write_text("surely no picture\n" * 99), "text.jpg"),
    "noise.png": (lambda path: path.write_bytes(os.urandom(5000)), "noise.png"),
    "small.png": (lambda path: picture(path, 12, 12), "16"),
    "thin.png": (lambda path: picture(path, 400, 6), "16"),
    "no_pictures": (lambda path: folder_of(path, notes="hello"), "no_pictures"),
    "no_files": (lambda path: path.mkdir(), "no_files"),
    "holes.npy": (lambda path: np.save(path, np.full((64, 64, 3), np.nan, np.float32)), "holes.npy"),
    "nine.npy": (lambda path: np.save(path, np.zeros((64, 64, 9), np.float32)), "nine.npy"),
    "objects.npy": (lambda path: np.save(path, np.array([{}, {}]), allow_pickle=True), "objects.npy"),
}


@pytest.mark.parametrize("name", INPUTS)
def test_input_that_cannot_be_read(run, tmp_path, name):
    make, expected = INPUTS[name]
    path, folder = tmp_path / name, tmp_path / "run"
    make(path)
    outcome = run(*arguments(folder, data__path=path))
    assert outcome.code == 2
    assert expected in outcome.line and name in outcome.line
    assert not folder.exists(), "nothing is made for a run that cannot begin"


def test_a_picture_of_far_too_many_pixels(run, tmp_path):
    path = tmp_path / "bomb.png"
    Image.new("1", (20_000, 11_000)).save(path)
    outcome = run(*arguments(tmp_path / "run", data__path=path))
    assert outcome.code == 2 and "bomb.png" in outcome.line and "pixels" in outcome.line
    assert not (tmp_path / "run").exists()


def test_no_input_at_all(run, tmp_path):
    outcome = run("--config", "single_image")
    assert outcome.code == 2 and "--config.data.path" in outcome.line


# A flag and words of the line about it.
FLAGS = {
    "a misspelt key": (["--config.num_stpes=4"], ["num_stpes", "num_steps"]),
    "a misspelt nested key": (["--config.data.max_sise=64"], ["max_sise", "max_size"]),
    "a misspelt group": (["--config.modell.ch_g=4"], ["modell"]),
    "a word for a number": (["--config.num_steps=many"], ["num_steps", "many"]),
    "a fraction for a whole number": (["--config.batch_size=2.5"], ["batch_size", "2.5"]),
    "a word for a truth value": (["--config.ema.warmup=perhaps"], ["ema.warmup", "perhaps"]),
    "a number out of range": (["--config.augment.image=1.5"], ["augment.image is 1.5", "less than or equal to 1"]),
    "nan": (["--config.optim.lr_g=nan"], ["optim.lr_g"]),
    "an unknown choice": (["--config.loss.adversarial=lsgan"], ["loss.adversarial", "hinge"]),
    "settings at odds": (["--config.batch_size=1"], ["loss.diversity", "batch_size"]),
    "an unknown flag": (["--wrokdir=x"], ["wrokdir"]),
    "a stray word": (["photo.jpg"], ["photo.jpg"]),
    "a flag without its value": (["--workdir"], ["workdir"]),
    "too many devices": (["--devices=99"], ["99"]),
    "a negative count": (["--devices=-1"], ["devices"]),
    "no such config": (["--config=singel_image"], ["singel_image", "single_image"]),
}


@pytest.mark.parametrize("case", FLAGS)
def test_flags_that_cannot_be_used(run, tmp_path, case):
    flags, expected = FLAGS[case]
    outcome = run(*arguments(tmp_path / "run"), *flags)
    assert outcome.code == 2
    assert all(word in outcome.line for word in expected), outcome.line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "text", ["", "def get_config(:", "import nosuchmodule", "def get_config():\n  return 1/0", "x = 1"]
)
def test_config_files_that_do_not_load(run, tmp_path, text):
    path = tmp_path / "own.py"
    path.write_text(text)
    outcome = run("--config", path, "--workdir", tmp_path / "run")
    assert outcome.code == 2 and outcome.line
    assert not (tmp_path / "run").exists()


def test_no_config_or_help(run):
    assert run("--workdir=x").code == 2
    outcome = run("--help")
    assert outcome.code == 0 and "--config.KEY" in outcome.stdout and not outcome.stderr
    assert run().code == 2


def test_a_file_in_place_of_the_workdir(run, tmp_path):
    (tmp_path / "run").write_text("mine")
    outcome = run(*arguments(tmp_path / "run"))
    assert outcome.code == 2 and str(tmp_path / "run") in outcome.line and "file" in outcome.line
    assert (tmp_path / "run").read_text() == "mine"
    outcome = run(*arguments(tmp_path / "run" / "deeper"))
    assert outcome.code == 2 and str(tmp_path / "run") in outcome.line
    assert (tmp_path / "run").read_text() == "mine"


def test_a_workdir_that_nobody_may_write_to(run):
    outcome = run(*arguments(Path("/proc/run")))
    assert outcome.code == 2 and "/proc/run" in outcome.line and "another --workdir" in outcome.line


def test_a_folder_of_other_things_is_left_alone(run, tmp_path):
    folder = tmp_path / "holiday"
    folder_of(folder, **{"diary.txt": "dear diary"})
    outcome = run(*arguments(folder))
    assert outcome.code == 2 and "diary.txt" in outcome.line
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"diary.txt": "dear diary"}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def prepared(tmp_path) -> Path:
    """A workdir as a run leaves it that has not saved a checkpoint yet."""
    tiny_workdir.begun(tmp_path / "run")
    return tmp_path / "run"


def test_a_workdir_of_another_config_names_the_keys(run, prepared):
    before = contents(prepared)
    outcome = run(*arguments(prepared, seed=5, optim__lr_d=0.5))
    assert outcome.code == 2
    assert "seed (0 there, 5 asked)" in outcome.line and "optim.lr_d" in outcome.line
    assert contents(prepared) == before


def test_fewer_steps_than_the_run_has_done(run, tmp_path):
    folder = tiny_workdir.trained(tmp_path / "run")
    before = contents(folder)
    outcome = run(*arguments(folder, num_steps=10))
    assert outcome.code == 2 and "has done 40 steps, more than num_steps 10: set as many or more" in outcome.line
    assert contents(folder) == before


def test_a_workdir_of_another_picture(run, prepared, tmp_path):
    before = contents(prepared)
    outcome = run(*arguments(prepared, data__path=picture(tmp_path / "other.png", 64, 48)))
    assert outcome.code == 2 and "example:balloons" in outcome.line
    assert contents(prepared) == before


def test_two_runs_in_one_workdir(run, prepared):
    before = contents(prepared)
    lock = layout.lock(prepared)
    try:
        outcome = run(*arguments(prepared))
        assert outcome.code == 2 and "in use by another run" in outcome.line
    finally:
        lock.release()
    assert contents(prepared) == before


@pytest.mark.parametrize("name", [layout.CONFIG, layout.PLAN])
def test_a_damaged_workdir(run, prepared, name):
    (prepared / name).write_text('{"nmu_steps": 3')
    before = contents(prepared)
    outcome = run(*arguments(prepared))
    assert outcome.code == 2 and name in outcome.line
    assert contents(prepared) == before


def test_workdirs_of_version_0_1_are_refused_and_left_alone(run, prepared, tmp_path):
    values = json.loads((prepared / layout.PLAN).read_text())
    del values["version"]
    (prepared / layout.PLAN).write_text(json.dumps(values))
    (prepared / "frames.npz").write_bytes(b"PK")
    before = contents(prepared)
    for outcome in (run(*arguments(prepared)), run("--workdir", prepared, command=sample)):
        assert outcome.code == 2 and outcome.line.startswith(f"{prepared} is the workdir of siv_jax 0.1: use it there")
    assert contents(prepared) == before
    values["version"] = 99
    (prepared / layout.PLAN).write_text(json.dumps(values))
    assert "another version of siv_jax (files of version 99)" in run(*arguments(prepared)).line


def test_fleets_of_version_0_1_are_refused_and_left_alone(run, prepared, tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    picture(pictures / "a.png")
    (prepared / layout.CONFIG).rename(prepared / fleet.SETTINGS)
    settings = json.loads((prepared / fleet.SETTINGS).read_text())
    settings["fleet"] = {"enabled": True, "strategy": "auto", "lanes": 0}
    (prepared / fleet.SETTINGS).write_text(json.dumps(settings))
    before = contents(prepared)
    outcome = run(*arguments(prepared, fleet__enabled=True, data__path=pictures))
    assert outcome.code == 2 and "a fleet of siv_jax 0.1" in outcome.line
    assert contents(prepared) == before


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of its own, and a function that makes the disk larger."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if not can_mount(folder, "size=1750k"):
        pytest.skip("mounting a small disk takes root and the right to mount")
    yield folder, lambda: can_mount(folder, "remount,size=50m")
    subprocess.run(["umount", "--lazy", folder], check=True)


def can_mount(folder: Path, options: str) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def test_a_disk_that_fills_while_training(small_disk, run):
    folder, enlarge = small_disk[0] / "run", small_disk[1]
    # A process of its own: what background threads would print lands on the error stream too.
    full = tiny.command("siv_jax.main", *arguments(folder), devices=8)
    outcome = Outcome(full.returncode, full.stdout, full.stderr)
    assert outcome.code == 2 and "no space left on the disk" in outcome.line
    saved = layout.completed_steps(folder)
    assert saved >= 10, "the checkpoints before stay"
    assert enlarge()
    outcome = run(*arguments(folder))
    assert outcome.code == 0 and f"after step {saved}" in outcome.stdout, outcome.stderr
    logged = [json.loads(line)["step"] for line in (folder / layout.SCALARS).read_text().splitlines()]
    assert logged == [10, 20, 30, 40]


def test_a_disk_that_is_full_from_the_start(small_disk, run):
    (small_disk[0] / "filling").write_bytes(bytes(1_783_600))
    outcome = run(*arguments(small_disk[0] / "run"))
    assert outcome.code == 2 and "no space left on the disk" in outcome.line


def test_a_run_that_diverges_ends_with_3_and_its_last_checkpoint(run, prepared):
    """Weights that are finite, and so large that the next step's are not."""
    task = tiny_workdir.begun(prepared)
    state = tiny_workdir.first_state(task)
    huge = dataclasses.replace(state, params_d=np.full_like(state.params_d, 3e38))
    tiny_workdir.save(prepared, task, step_10=state, step_20=huge)
    before = contents(prepared / layout.CHECKPOINTS)
    outcome = run(*arguments(prepared))
    assert outcome.code == 3
    for words in ("diverged", "between steps 20 and 30", "after step 20", "lower learning rates"):
        assert words in outcome.line
    assert contents(prepared / layout.CHECKPOINTS) == before
    assert not (prepared / layout.SAMPLES).exists()


def test_a_damaged_checkpoint_is_named_and_the_one_before_used(run, prepared):
    def cut(step: int) -> None:
        for path in (prepared / layout.CHECKPOINTS / str(step)).rglob("*"):
            if path.is_file() and path.stat().st_size > 1000:
                path.write_bytes(path.read_bytes()[:500])

    task = tiny_workdir.begun(prepared)
    tiny_workdir.save(prepared, task, step_10=tiny_workdir.first_state(task), step_20=tiny_workdir.first_state(task))
    cut(20)
    outcome = run(*arguments(prepared, num_steps=11))
    assert outcome.code == 2 and "has done 20 steps" in outcome.line
    outcome = run(*arguments(prepared, num_steps=20))
    assert outcome.code == 0, outcome.stderr
    assert f"note      the checkpoint {prepared / layout.CHECKPOINTS / '20'} is damaged" in outcome.stdout
    assert "after step 10" in outcome.stdout and (prepared / layout.CHECKPOINTS / "20.damaged").is_dir()


def test_the_only_checkpoint_is_damaged(run, prepared):
    task = tiny_workdir.begun(prepared)
    tiny_workdir.save(prepared, task, step_10=tiny_workdir.first_state(task))
    for path in (prepared / layout.CHECKPOINTS / "10").rglob("*"):
        if path.is_file() and path.stat().st_size > 1000:
            path.write_bytes(path.read_bytes()[:500])
    before = contents(prepared)
    outcome = run(*arguments(prepared))
    assert outcome.code == 2 and f"{prepared / layout.CHECKPOINTS / '10'} is damaged" in outcome.line
    assert contents(prepared) == before
