"""A fleet: every member is the model that its picture alone would have given, whatever befalls the others."""

import dataclasses
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
import tiny
from PIL import Image

from siv_jax import config as config_lib
from siv_jax import main, sample
from siv_jax.config import Config
from siv_jax.data import load_frames
from siv_jax.errors import DivergedError, UserError
from siv_jax.models.siv_gan.state import TrainState, init_state
from siv_jax.train import fleet, fleet_strategy
from siv_jax.train import single as training
from siv_jax.train.run import Run
from siv_jax.workdir import layout as workdir
from siv_jax.workdir.checkpoint import Checkpoints, completed_steps

STEPS = 20
RUN = {"num_steps": STEPS, "log_every": 5, "sample_every": 10, "checkpoint_every": 10}
GOOD = {"a.jpg": "a", "a.png": "a_png", "b.png": "b"}
DEVICES = 8  # of a command, as many as this process has: both use the same compiled programs
DEADLINE = 900.0  # seconds; only there so that a run that hangs fails the test


def settings(pictures: Path, strategy: str = "sequential", lanes: int = 0, **changes) -> Config:
    own = {"data__path": str(pictures), "fleet__enabled": True, "fleet__strategy": strategy, "fleet__lanes": lanes}
    return tiny.config(**(RUN | own | changes))


def train(config: Config, folder: Path, devices: int = 1) -> list[str]:
    """Trains the fleet; what it said."""
    said = []
    assert fleet.train(config, folder, devices, dry_run=False, say=said.append) is None
    return said


def saved(folder: Path, config: Config) -> TrainState:
    """The newest checkpoint."""
    plan = workdir.load_model(folder).plan
    with Checkpoints(folder / workdir.CHECKPOINTS, config.keep_checkpoints) as checkpoints:
        return checkpoints.restore(like=init_state(plan, config))


def logged(folder: Path) -> list[dict]:
    entries = [json.loads(line) for line in (folder / workdir.SCALARS).read_text().splitlines()]
    return [{k: v for k, v in entry.items() if k not in ("seconds", "steps_per_second")} for entry in entries]


def summary(folder: Path) -> dict[str, dict]:
    return {entry["picture"]: entry for entry in json.loads((folder / "summary.json").read_text())["members"]}


def files(folder: Path) -> dict[str, bytes]:
    """Samples and grids."""
    kinds = [folder / workdir.SAMPLES, folder / workdir.GRIDS]
    return {f"{kind.name}/{path.name}": path.read_bytes() for kind in kinds for path in kind.iterdir()}


def assert_same_up_to_rounding(found: Path, expected: Path, config: Config) -> None:
    """Where a gradient is all rounding, Adam's step of one learning rate may go either way."""
    one, other = saved(found, config), saved(expected, config)
    start = init_state(workdir.load_model(expected).plan, config)
    assert one.step == other.step
    for name in ("params_g", "params_d", "ema"):
        drift = np.abs(getattr(one, name) - getattr(other, name)).mean()
        assert drift < 0.01 * np.abs(getattr(other, name) - getattr(start, name)).mean(), name
    assert [entry["step"] for entry in logged(found)] == [entry["step"] for entry in logged(expected)]
    for entry, wanted in zip(logged(found), logged(expected), strict=True):
        assert entry == pytest.approx(wanted, rel=0.02, abs=0.01)


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
    return folder


@pytest.fixture(scope="module")
def reference(pictures, tmp_path_factory) -> tuple[Path, list[str]]:
    """A fleet whose members were trained one after another, undisturbed, and what it said."""
    folder = tmp_path_factory.mktemp("sequential") / "fleet"
    return folder, train(settings(pictures), folder)


def test_members_and_summary(reference, pictures):
    folder, said = reference
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == sorted(GOOD.values())
    found = summary(folder)
    assert list(found) == ["a.jpg", "a.png", "b.png", "damaged.png"]
    for picture, name in GOOD.items():
        entry, last = found[picture], logged(folder / name)[-1]
        assert (entry["outcome"], entry["steps"], entry["workdir"]) == ("done", STEPS, str(folder / name))
        assert (entry["loss_g"], entry["loss_d"]) == (last["loss_g"], last["loss_d"]) and last["step"] == STEPS
        assert entry["seconds"] > 0
        (row,) = [line for line in said if line.startswith(f"{picture} ")]
        assert row.split()[1:3] == ["done", str(STEPS)] and row.endswith(str(folder / name))
        own = config_lib.load(folder / name / workdir.CONFIG)
        assert own == dataclasses.replace(
            settings(pictures),
            data=dataclasses.replace(own.data, path=str(pictures / picture)),
            fleet=config_lib.FleetConfig(),
        )
    assert found["damaged.png"]["outcome"] == "failed" and "damaged.png" in found["damaged.png"]["reason"]
    assert any(line.startswith("skipped   damaged.png: ") for line in said)
    assert (folder / "index.html").exists()


def test_sequential_member_is_the_picture_trained_alone_bit_for_bit(reference, pictures, tmp_path):
    config = tiny.config(**RUN, data__path=str(pictures / "b.png"))
    assert training.train(config, tmp_path / "alone", 1, dry_run=False, say=str) is None
    member = reference[0] / "b"
    jax.tree.map(np.testing.assert_array_equal, saved(member, config), saved(tmp_path / "alone", config))
    assert logged(member) == logged(tmp_path / "alone")
    assert files(member) == files(tmp_path / "alone") and len(files(member)) == 7


@pytest.mark.parametrize(
    ("strategy", "lanes", "devices", "how"),
    [
        ("sequential", 0, 2, "one after another on 2 device(s)"),
        ("mapped", 2, 1, "2 at once, as one vmapped step, on 1 device(s)"),
        ("unrolled", 2, 1, "2 at once, unrolled into one program, on 1 device(s)"),
    ],
)
def test_members_side_by_side_are_those_trained_alone(strategy, lanes, devices, how, reference, pictures, tmp_path):
    config = settings(pictures, strategy, lanes)
    said = train(config, tmp_path / "fleet", devices)
    assert f"group     64x48 (width x height): 3 pictures, {how} (as asked)" in said
    for name in GOOD.values():
        assert_same_up_to_rounding(tmp_path / "fleet" / name, reference[0] / name, config)
    states = [saved(tmp_path / "fleet" / name, config) for name in GOOD.values()]
    assert (states[0].params_g != states[1].params_g).any() and (states[1].params_g != states[2].params_g).any()


def test_member_that_is_ahead_keeps_its_place(reference, pictures, tmp_path):
    """Two side by side whose logs, grids and checkpoints fall due at different times."""
    alone = dataclasses.replace(settings(pictures), num_steps=8, fleet=config_lib.FleetConfig())
    alone = dataclasses.replace(alone, data=dataclasses.replace(alone.data, path=str(pictures / "a.png")))
    training.train(alone, tmp_path / "fleet" / "a_png", 1, dry_run=False, say=str)
    workdir.save_config(tmp_path / "fleet", settings(pictures), fleet.SETTINGS)
    train(settings(pictures), tmp_path / "fleet", devices=2)
    for name in ("a", "b"):
        assert_same_up_to_rounding(tmp_path / "fleet" / name, reference[0] / name, alone)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=2e-3),
        saved(tmp_path / "fleet" / "a_png", alone).params_g,
        saved(reference[0] / "a_png", alone).params_g,
    )
    assert [entry["step"] for entry in logged(tmp_path / "fleet" / "a_png")] == [5, 8, 10, 15, 20]


def test_diverged_member_keeps_its_checkpoint_and_the_rest_go_on(reference, pictures, tmp_path, monkeypatch):
    flush = Run.flush

    def breaks_down(run, bar):
        if run.name == "a.png" and run.step == 15:
            raise DivergedError("the loss is not finite")
        flush(run, bar)

    monkeypatch.setattr(Run, "flush", breaks_down)
    said = train(settings(pictures), tmp_path / "fleet", devices=2)
    found = summary(tmp_path / "fleet")
    assert [found[picture]["outcome"] for picture in GOOD] == ["done", "diverged", "done"]
    assert completed_steps(tmp_path / "fleet" / "a_png" / workdir.CHECKPOINTS) == 10
    assert f"the checkpoint after step 10 in {tmp_path / 'fleet' / 'a_png'} is good" in found["a.png"]["reason"]
    assert any(line.startswith("diverged  a.png: training diverged: the loss is not finite") for line in said)
    for name in ("a", "b"):
        assert_same_up_to_rounding(tmp_path / "fleet" / name, reference[0] / name, settings(pictures))


def test_all_diverged(pictures, tmp_path, monkeypatch):
    def broken(plan, config):
        state = init_state(plan, config)
        return state.replace(params_g=state.params_g * np.nan)

    monkeypatch.setattr(training, "init_state", broken)
    with pytest.raises(DivergedError, match="none of 4 models reached its last step, 3 diverged"):
        train(settings(pictures), tmp_path / "fleet")
    assert {entry["outcome"] for entry in summary(tmp_path / "fleet").values()} == {"diverged", "failed"}


def test_killed_and_stopped_fleet_goes_on_and_repeats_nothing(reference, pictures, tmp_path):
    folder = tmp_path / "fleet"
    flags = [*tiny.arguments(folder, **RUN | {"data.path": str(pictures)}), "--devices", "1"]
    flags[flags.index("single_image")] = "fleet"

    def started(reached) -> subprocess.Popen:
        command = [sys.executable, "-m", "siv_jax.main", *flags]
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen(command, env=tiny.environment(DEVICES), **silent)
        end = time.monotonic() + DEADLINE
        while not reached():
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.005)
        return process

    process = started(lambda: completed_steps(folder / "a_png" / workdir.CHECKPOINTS) >= 10)
    process.kill()
    process.wait()
    assert summary(folder)["a.jpg"]["outcome"] == "done" and not (folder / "a_png" / workdir.SAMPLES).exists()
    first = {path: path.stat().st_mtime_ns for path in (folder / "a").rglob("*")}

    process = started(lambda: (folder / "b" / workdir.SCALARS).exists())
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=DEADLINE) == 143
    found = summary(folder)
    assert [found[picture]["outcome"] for picture in GOOD] == ["done", "done", "stopped"]

    said = train(settings(pictures), folder)
    assert any("1 to train, 2 finished before, 1 skipped" in line for line in said)
    assert {path: path.stat().st_mtime_ns for path in (folder / "a").rglob("*")} == first
    for name in GOOD.values():
        assert files(folder / name) == files(reference[0] / name)
    assert all(entry["outcome"] == "done" for picture, entry in summary(folder).items() if picture in GOOD)


def test_member_is_an_ordinary_workdir(reference, pictures, tmp_path, capsys):
    member = reference[0] / "b"
    assert sample.main(["--workdir", str(member), "--num", "2", "--out", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "sample_00001.png").read_bytes() == files(member)["samples/sample_00001.png"]
    alone = tiny.arguments(member, **RUN | {"data.path": str(pictures / "b.png")})
    assert main.main([*alone, "--devices", "1"]) == 0
    assert f"resuming  {member} after step {STEPS}" in capsys.readouterr().out


def test_fleet_of_other_settings_and_changed_pictures(reference, pictures, tmp_path):
    folder = tmp_path / "fleet"
    shutil.copytree(reference[0], folder)
    with pytest.raises(UserError, match=r"holds a run with another config: seed \(0 there, 1 asked\)"):
        train(settings(pictures, seed=1), folder)
    with pytest.raises(UserError, match=r"holds a but no config.json: choose a new or empty --workdir"):
        training.train(
            dataclasses.replace(settings(pictures / "b.png"), fleet=config_lib.FleetConfig()),
            folder,
            1,
            dry_run=False,
            say=str,
        )
    changed = tmp_path / "pictures"
    changed.mkdir()
    Image.new("RGB", (64, 48), "teal").save(changed / "b.png")
    with pytest.raises(UserError, match="none of 1 pictures could be trained on"):
        train(settings(changed), folder)
    assert "trained on other frames" in summary(folder)["b.png"]["reason"]


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
        training.train(settings(pictures), tmp_path / "fleet", 1, dry_run=False, say=str)


def test_dry_run_touches_nothing(pictures, tmp_path, capsys):
    flags = tiny.arguments(tmp_path / "fleet", **{"data.path": str(pictures)})
    flags[flags.index("single_image")] = "fleet"
    assert main.main([*flags, "--dry_run"]) == 0
    assert "4 pictures" in capsys.readouterr().out and not (tmp_path / "fleet").exists()


def test_folders_of_pictures_with_colliding_names(tmp_path):
    names = ["a.jpg", "a.png", "A.gif", "a_png.jpg", "summary.json.png", "b.tar.png"]
    found = fleet.name_folders(names, tmp_path)
    assert found["a.jpg"] == "a" and found["a.png"] == "a_png" and found["A.gif"] == "A_gif"
    assert found["a_png.jpg"] == "a_png_jpg" and found["summary.json.png"] == "summary.json_png"
    assert len({name.lower() for name in found.values()}) == len(names)
    # A picture that comes later does not take the folder of one that has it already.
    for name in ("b.png", "c.png"):
        (tmp_path / Path(name).stem).mkdir()
        workdir.save_config(tmp_path / Path(name).stem, tiny.config(data__path=f"somewhere/{name}"))
    found = fleet.name_folders(["b.jpg", "b.png", "c.png"], tmp_path)
    assert found == {"b.jpg": "b_jpg", "b.png": "b", "c.png": "c"}


def test_arrangements(monkeypatch):
    config = tiny.config(num_steps=100_000)
    _, plan = load_frames(config.data, config.model)

    def arranged(models: int, devices: int = 1, **changes) -> tuple[int, int, bool]:
        asked = tiny.config(num_steps=100_000, **changes)
        found = fleet_strategy.arrange(plan, asked, (1, 48, 64, 3), models, devices)
        return found.devices, found.lanes, found.mapped

    assert arranged(10) == (1, 1, False)  # a CPU
    assert arranged(3, devices=8) == (3, 1, False)
    assert arranged(10, fleet__strategy="mapped", fleet__lanes=8) == (1, 5, True)
    assert arranged(10, devices=4, fleet__strategy="unrolled", fleet__lanes=2) == (4, 2, False)
    assert arranged(9, devices=2, fleet__strategy="mapped") == (2, 5, True)
    assert arranged(1, fleet__strategy="mapped") == (1, 1, True)
    with pytest.raises(UserError, match=r"one model at a time on each device, not fleet\.lanes 2"):
        tiny.config(fleet__strategy="sequential", fleet__lanes=2)
    # Elsewhere the quicker of two is measured, and one that does not fit loses.
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    for speeds, lanes in [((10.0, 30.0), 8), ((10.0, 9.0), 1), ((10.0, 0.0), 1)]:
        left = iter(speeds)
        monkeypatch.setattr(fleet_strategy, "_speed", lambda *_, left=left: next(left))
        assert arranged(8)[1] == lanes
    assert arranged(1)[1] == 1  # nothing to measure
