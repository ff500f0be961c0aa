"""A fleet: every member is the model that its picture alone would have given, whatever befalls the others."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
import toy.family
import toy_runs
from PIL import Image

from siv_jax import config as config_lib
from siv_jax import main, sample
from siv_jax.config import Config
from siv_jax.errors import DivergedError, UserError
from siv_jax.train import estimate, fleet, single
from siv_jax.train.devices import Program
from siv_jax.train.fleet_members import name_folders
from siv_jax.train.run import Run
from siv_jax.workdir import layout

STEPS = 40
GOOD = {"a.jpg": "a", "a.png": "a_png", "b.png": "b"}
DEADLINE = 600.0  # seconds; only there so that a run that hangs fails the test


def settings(pictures: Path, **changes) -> Config:
    return toy_runs.config(data__path=str(pictures), fleet__enabled=True, **changes)


def alone(picture: Path, **changes) -> Config:
    return toy_runs.config(data__path=str(picture), **changes)


def train(config: Config, folder: Path, devices: int = 1) -> list[str]:
    """Trains the fleet; what it said."""
    said = []
    assert fleet.train(config, folder, devices, dry_run=False, say=said.append) is None
    return said


def summary(folder: Path) -> dict[str, dict]:
    return {entry["picture"]: entry for entry in json.loads((folder / "summary.json").read_text())["members"]}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """Three pictures of one shape, a damaged one, and what is none."""
    folder = tmp_path_factory.mktemp("pictures")
    for i, name in enumerate(GOOD):
        colours = np.random.default_rng(i).integers(0, 256, (6, 8, 3), np.uint8)
        Image.fromarray(colours).resize((64, 48), Image.Resampling.BICUBIC).save(folder / name)
    (folder / "damaged.png").write_bytes((folder / "b.png").read_bytes()[:200])
    (folder / "notes.txt").write_text("not a picture")
    (folder / "more").mkdir()
    (folder / "gone.jpg").symlink_to(folder / "nowhere.jpg")
    return folder


@pytest.fixture(scope="module")
def reference(pictures, tmp_path_factory) -> tuple[Path, list[str]]:
    """A fleet that was trained on one device, undisturbed, and what it said."""
    folder = tmp_path_factory.mktemp("reference") / "fleet"
    return folder, train(settings(pictures), folder)


def test_a_finished_member_whose_newest_checkpoint_is_damaged_is_trained_from_the_one_before(
    reference, pictures, tmp_path
):
    folder = shutil.copytree(reference[0], tmp_path / "fleet")
    newest = folder / "b" / layout.CHECKPOINTS / str(STEPS)
    for path in (newest / "weights").rglob("d/*"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    said = train(settings(pictures), folder)
    assert any("damaged" in line and "the one before is used" in line for line in said)
    assert newest.with_name(f"{STEPS}.damaged").exists() and layout.completed_steps(folder / "b") == STEPS
    for ours, theirs in zip(toy_runs.arrays(folder / "b"), toy_runs.arrays(reference[0] / "b"), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert summary(folder)["b.png"]["outcome"] == "done"


def test_members_and_summary(reference, pictures):
    folder, said = reference
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == sorted(GOOD.values())
    found = summary(folder)
    assert list(found) == ["a.jpg", "a.png", "b.png", "damaged.png"]
    others = json.loads((folder / "summary.json").read_text())["passed_over"]
    assert list(others) == ["gone.jpg", "more", "notes.txt"]
    assert "a link to a file that is not there" in others["gone.jpg"] and "a folder" in others["more"]
    for name, reason in others.items():
        assert f"passed    over {name}: {reason}" in said
    for picture, name in GOOD.items():
        entry, last = found[picture], toy_runs.logged(folder / name)[-1]
        assert (entry["outcome"], entry["steps"], entry["workdir"]) == ("done", STEPS, str(folder / name))
        assert entry["error"] == last["error"] and last["step"] == STEPS and entry["seconds"] > 0
        (row,) = [line for line in said if line.startswith(f"{picture} ")]
        assert row.split()[1:3] == ["done", str(STEPS)] and row.endswith(str(folder / name))
        assert layout.load_config(folder / name) == alone(pictures / picture)
    assert found["damaged.png"]["outcome"] == "failed" and "damaged.png" in found["damaged.png"]["reason"]
    assert any(line.startswith("skipped   damaged.png: ") for line in said)
    page = (folder / "index.html").read_text()
    assert all(name in page for name in GOOD.values()) and "damaged.png" in page


@pytest.mark.parametrize("devices", [1, 2, 8])
def test_members_are_the_pictures_trained_alone_bit_for_bit(reference, pictures, tmp_path, devices):
    folder = reference[0]
    if devices > 1:
        folder = tmp_path / "fleet"
        train(settings(pictures), folder, devices)
    for picture, name in GOOD.items():
        lonely = tmp_path / "alone" / name
        assert single.train(alone(pictures / picture), lonely, 1, dry_run=False, say=str) is None
        toy_runs.assert_same_run(folder / name, lonely)


def test_pictures_of_one_shape_compile_once(pictures, tmp_path, monkeypatch):
    compiled, compile_ = [], Program.compile

    def spied(self, state, data, *where):
        compiled.append(data.shape)
        return compile_(self, state, data, *where)

    monkeypatch.setattr(Program, "compile", spied)
    monkeypatch.setattr(estimate, "seconds_per_step", lambda task, devices: 0.01)  # which compiles for itself
    train(settings(pictures), tmp_path / "fleet")
    assert len(compiled) == len(set(compiled)) == 2, "one program for each stage"


def test_all_devices_work_at_once(pictures, tmp_path, monkeypatch):
    calls, advance = [], Program.advance

    def spied(self, state, totals, data, key, start, count):
        calls.append(jax.tree.leaves(data)[0].devices().pop().id)
        return advance(self, state, totals, data, key, start, count)

    monkeypatch.setattr(Program, "advance", spied)
    monkeypatch.setattr(estimate, "seconds_per_step", lambda task, devices: 0.01)  # which makes steps of its own
    train(settings(pictures), tmp_path / "fleet", devices=3)
    assert set(calls) == {0, 1, 2}
    # Dispatch goes round: no device waits until another one's run has ended.
    assert max(calls.index(device) for device in (0, 1, 2)) == 2


def test_diverged_member_keeps_its_checkpoint_and_the_rest_go_on(reference, pictures, tmp_path, monkeypatch):
    step = toy.family.Stage.step
    odd = single.open_source(alone(pictures / "a.png").data).resized(24, 32)[0, 0, 0].astype(np.float32) / 127.5 - 1

    def breaks_down(self, state, data, key, at):
        state, metrics = step(self, state, data, key, at)
        broken = (at >= 14) & jnp.all(data[0, 0, 0] == odd) & (data.shape[1] == 24)
        return state, {"error": jnp.where(broken, jnp.float32(jnp.nan), metrics["error"])}

    monkeypatch.setattr(toy.family.Stage, "step", breaks_down)
    said = train(settings(pictures), tmp_path / "fleet", devices=2)
    found = summary(tmp_path / "fleet")
    assert [found[picture]["outcome"] for picture in GOOD] == ["done", "diverged", "done"]
    assert layout.completed_steps(tmp_path / "fleet" / "a_png") == 30
    assert f"the checkpoint after step 30 in {tmp_path / 'fleet' / 'a_png'} is good" in found["a.png"]["reason"]
    assert any(line.startswith("diverged  a.png: training diverged: the loss is not finite") for line in said)
    for name in ("a", "b"):
        pairs = zip(toy_runs.arrays(tmp_path / "fleet" / name), toy_runs.arrays(reference[0] / name), strict=True)
        assert all(np.array_equal(one, other) for one, other in pairs)


def test_all_diverged(pictures, tmp_path, monkeypatch):
    def broken(self, state, data, key, at):
        return state, {"error": jnp.float32(jnp.nan)}

    monkeypatch.setattr(toy.family.Stage, "step", broken)
    with pytest.raises(DivergedError, match="none of 4 models reached its last step, 3 diverged"):
        train(settings(pictures), tmp_path / "fleet")
    assert {entry["outcome"] for entry in summary(tmp_path / "fleet").values()} == {"diverged", "failed"}


@pytest.mark.posix
def test_killed_and_stopped_fleet_goes_on_and_repeats_nothing(reference, pictures, tmp_path):
    folder = tmp_path / "fleet"
    flags = toy_runs.arguments(folder, tmp_path / "toy.py")
    flags += ["--config.fleet.enabled=True", f"--config.data.path={pictures}"]

    def started(reached) -> subprocess.Popen:
        command = [sys.executable, "-m", "siv_jax.main", *flags]
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen(command, env=tiny.environment(8), **silent)
        end = time.monotonic() + DEADLINE
        while not reached():
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.002)
        return process

    process = started(lambda: layout.completed_steps(folder / "a_png") >= 10)
    process.kill()
    process.wait()
    assert summary(folder)["a.jpg"]["outcome"] == "done" and not (folder / "a_png" / layout.SAMPLES).exists()
    first = {path: path.stat().st_mtime_ns for path in (folder / "a").rglob("*")}

    process = started(lambda: (folder / "b" / layout.SCALARS).exists())
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=DEADLINE) == 143
    assert [summary(folder)[picture]["outcome"] for picture in GOOD] == ["done", "done", "stopped"]

    said = train(settings(pictures), folder)
    assert any("1 to train, 2 finished before, 1 skipped" in line for line in said)
    assert {path: path.stat().st_mtime_ns for path in (folder / "a").rglob("*")} == first
    for name in GOOD.values():
        toy_runs.assert_same_run(folder / name, reference[0] / name)
    assert all(entry["outcome"] == "done" for picture, entry in summary(folder).items() if picture in GOOD)


def test_member_is_an_ordinary_workdir(reference, pictures, tmp_path, capsys):
    member = reference[0] / "b"
    assert sample.main(["--workdir", str(member), "--num", "2", "--out", str(tmp_path / "out")]) is None
    drawn = (tmp_path / "out" / "sample_00001.png").read_bytes()
    assert drawn == toy_runs.pictures(member)["samples/sample_00001.png"]
    flags = toy_runs.arguments(member, tmp_path / "toy.py")
    assert main.main([*flags, f"--config.data.path={pictures / 'b.png'}"]) == 0
    assert f"resuming  {member} after step {STEPS}" in capsys.readouterr().out


def test_fleet_of_other_settings_and_changed_pictures(reference, pictures, tmp_path):
    folder = tmp_path / "fleet"
    shutil.copytree(reference[0], folder)
    with pytest.raises(UserError, match=r"holds a run with another config: seed \(0 there, 1 asked\)"):
        train(settings(pictures, seed=1), folder)
    with pytest.raises(UserError, match=r"holds a but no config.json: choose a new or empty --workdir"):
        single.train(alone(pictures / "b.png"), folder, 1, dry_run=False, say=str)
    changed = tmp_path / "pictures"
    changed.mkdir()
    Image.new("RGB", (64, 48), "teal").save(changed / "b.png")
    with pytest.raises(UserError, match="none of 1 pictures could be trained on"):
        train(settings(changed), folder)
    assert "trained on another input" in summary(folder)["b.png"]["reason"]


def test_members_that_are_decoded_a_little_differently_now_are_finished(reference, pictures, tmp_path):
    folder, changed = tmp_path / "fleet", tmp_path / "pictures"
    shutil.copytree(reference[0], folder)
    changed.mkdir()
    with Image.open(pictures / "b.png") as image:
        Image.fromarray(np.clip(np.asarray(image), 3, 255) - np.uint8(3)).save(changed / "b.png")
    assert any("0 to train, 1 finished before" in line for line in train(settings(changed), folder))


def test_members_that_a_time_limit_ended_go_on_under_a_later_one(pictures, tmp_path, monkeypatch):
    folder, one = tmp_path / "fleet", tmp_path / "pictures"
    one.mkdir()
    shutil.copy(pictures / "b.png", one)
    monkeypatch.setattr(Run, "time_is_up", property(lambda run: run.step >= 27))
    train(settings(one, time_limit="2m"), folder)
    monkeypatch.undo()
    for limit, waiting in (("2m", 0), ("60s", 0), ("1h", 1)):
        said = train(settings(one, time_limit=limit), folder)
        assert any(f": {waiting} to train, {1 - waiting} finished before" in line for line in said)
    assert summary(folder)["b.png"]["steps"] == STEPS


def test_nothing_to_train_on(pictures, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "x.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    for path, said in [
        (tmp_path / "nowhere", "nowhere is not a folder"),
        (pictures / "b.png", "b.png is not a folder"),
        (empty, "empty holds no picture"),
        (damaged, "none of the 1 pictures in .* can be used"),
    ]:
        with pytest.raises(UserError, match=said):
            train(settings(path), tmp_path / "fleet")
    assert not (tmp_path / "fleet").exists()
    with pytest.raises(UserError, match=r"a fleet is trained by python -m siv_jax\.main"):
        single.train(settings(pictures), tmp_path / "fleet", 1, dry_run=False, say=str)


def test_dry_run_touches_nothing(pictures, tmp_path, capsys):
    flags = tiny.arguments(tmp_path / "fleet", **{"data.path": str(pictures)})
    flags[flags.index("single_image")] = "fleet"
    assert main.main([*flags, "--dry_run"]) == 0
    out = capsys.readouterr().out
    assert "4 pictures" in out and not (tmp_path / "fleet").exists()
    assert re.search(r"\ntime      about .* for 3 pictures on this machine, at the speed of a\.jpg\n$", out)


def test_folders_of_pictures_with_colliding_names(tmp_path):
    names = ["a.jpg", "a.png", "A.gif", "a_png.jpg", "summary.json.png", "b.tar.png"]
    found = name_folders(names, tmp_path)
    assert found["a.jpg"] == "a" and found["a.png"] == "a_png" and found["A.gif"] == "A_gif"
    assert found["a_png.jpg"] == "a_png_jpg" and found["summary.json.png"] == "summary.json_png"
    assert len({name.lower() for name in found.values()}) == len(names)
    # A picture that comes later does not take the folder of one that has it already.
    for name in ("b.png", "c.png"):
        folder = tmp_path / Path(name).stem
        folder.mkdir()
        (folder / layout.CONFIG).write_text(config_lib.to_json(alone(Path("somewhere") / name)))
    found = name_folders(["b.jpg", "b.png", "c.png"], tmp_path)
    assert found == {"b.jpg": "b_jpg", "b.png": "b", "c.png": "c"}
