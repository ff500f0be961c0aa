"""The ablations' configs, the paper's tables, and the sweep that puts ours beside them."""

import importlib.util
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from siv_jax import config as config_lib
from siv_jax.cli import training_flags as arguments
from siv_jax.errors import UserError
from siv_jax.metrics import published, record
from siv_jax.models.siv_gan import network
from siv_jax.models.siv_gan.config import Config
from siv_jax.nn.two_branch.plan import make_plan

SCRIPT = Path(__file__).parent.parent / "launch" / "ablations.py"
NAMES = list(dict.fromkeys(row[1] for one in published.ABLATIONS for row in one.rows))

# ml_collections loads config files in a way that Python 3.11 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")


@pytest.fixture(scope="module")
def sweep():
    spec = importlib.util.spec_from_file_location("launch_ablations", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def config_of(name: str) -> Config:
    return arguments.parse(["--config", f"ablations:{name}"]).config


def test_every_ablation_changes_what_its_name_says():
    usual = config_lib.flatten(Config())
    changed = {}
    for name in NAMES:
        settings = config_lib.flatten(config_of(name))
        changed[name] = {key: value for key, value in settings.items() if value != usual[key]}
    assert changed.pop("full") == {}
    assert changed.pop("no_branches") == {"model.branches": "none"}
    assert changed.pop("no_layout") == {"model.branches": "content"}
    assert changed.pop("no_content") == {"model.branches": "layout"}
    assert changed.pop("no_low_level") == {"loss.low_level": False}
    assert changed.pop("no_fa") == {"augment.feature": 0.0}
    assert [changed.pop(name) for name in ("no_dr", "zcr", "ds", "image_dr")] == [
        {"loss.diversity": kind} for kind in ("none", "zcr", "ds", "image")
    ]
    for weight in (0.05, 0.5):
        assert changed.pop(f"lambda_{weight}") == {"loss.diversity_weight": weight}
    for count in range(1, 7):
        blocks = {"model.num_blocks_d": 7, "model.num_blocks_low_level": count}
        assert changed.pop(f"low_level_{count}") == blocks
    assert not changed


def test_every_ablation_has_a_model_of_its_size():
    """At the size of the paper's DAVIS frames, where the default is 3 of 7 low-level blocks."""
    models = {}
    for name in NAMES:
        config = config_of(name)
        plan = make_plan(480, 854, 3, 330, config.model)
        assert plan.num_blocks_d == 7
        assert plan.num_blocks_low_level == (int(name[-1]) if name.startswith("low_level") else 3)
        models[plan, config.model.branches] = config.model
    assert len(models) == 4 + 5
    for (plan, _), model in models.items():
        assert network.generator(plan, model).shapes and network.discriminator(plan, model).shapes


def test_unknown_ablation_is_refused_by_name():
    with pytest.raises(UserError, match=r"there is no ablation no_such: .*no_dr, no_fa"):
        config_of("no_such")


def test_published_numbers_are_the_papers(shared):
    text = (shared / "published.md").read_text()
    found = {
        (one.number, video): {row[0]: row[2 + video] for row in one.rows}
        for one in published.ABLATIONS
        for video in (False, True)
    }

    def numbers(cell: str) -> tuple[float, ...]:
        return tuple(map(float, cell.split()))

    rows = re.findall(r"^\| (full|no [^|]+) \| ([^|]+) \| ([^|]+) \|$", text, re.MULTILINE)
    assert found[3, False] == {label: numbers(image) for label, image, _ in rows}
    assert found[3, True] == {label: numbers(clip) for label, _, clip in rows}
    flat = " ".join(text.split())
    four = re.search(r"Table 4, .*?: (.*?)\. Table 5", flat)[1]
    expected = dict(re.match(r"(\D+?) ([\d. ]+)$", part).groups() for part in four.split(" · "))
    assert found[4, False] == {label: numbers(values) for label, values in expected.items()}
    five = re.search(r"Table 5, lambda: (.*?)\. Table 6", flat)[1]
    assert found[5, False] == {
        label: numbers(values) for label, values in (part.split(" -> ") for part in five.split(" · "))
    }
    six = re.search(r"Table 6, .*?\): (.*?)\. ConSinGAN", flat)[1]
    parts = [re.match(r"(\d) ([^|]+) \| (.+)$", part).groups() for part in six.split(" · ")]
    assert found[6, False] == {label: numbers(image) for label, image, _ in parts}
    assert found[6, True] == {label: numbers(clip) for label, _, clip in parts}


def measured(value: float, frames: int = 1) -> dict:
    keys = ("sifid_64", "sifid_768", "lpips_diversity", "pixel_diversity", "distance_to_train")
    mean = {key: {"value": value + i, "low": None, "high": None} for i, key in enumerate(keys)}
    image = {"name": "x", "size": [48, 64], "samples": 7, "training_images": frames, "training_digest": "d"}
    image |= {"metrics": mean, "per_sample": []}
    return {"name": "x", "protocol": {"id": "p"}, "mean": mean, "images": [image]}


def test_ours_stand_beside_the_papers():
    five = next(one for one in published.ABLATIONS if one.number == 5)
    rows = published.beside_ours(five, {"full": measured(1.25)}, video=False)
    assert rows[0][1:] == ["SIFID 64", "ours", "LPIPS", "ours", "pixel div.", "ours", "dist. to train", "ours"]
    assert rows[1] == ["0", "0.05", "-", "0.04", "-", "0.33", "-", "0.06", "-"]
    assert rows[3] == ["0.15", "0.08", "1.250", "0.33", "3.250", "0.66", "4.250", "0.37", "5.250"]


def test_sweep_trains_and_evaluates_each_once_and_goes_past_failures(sweep, tmp_path, monkeypatch, capsys):
    commands = []

    def run(command: list[str]) -> int:
        commands.append(command[2:])
        folder = Path(command[command.index("--workdir") + 1])
        if folder.name == "lambda_0.05":
            return 3
        if command[2] == "siv_jax.evaluate":
            (folder / "evaluation").mkdir(parents=True)
            record.write(folder / "evaluation", measured(0.5, frames=60 if folder.name == "x" else 1))
        return 0

    monkeypatch.setattr(sweep, "_run", run)
    monkeypatch.setattr(sweep.network_weights, "require", lambda *_: None)
    extra = ["--config.data.path", "photo.jpg", "--config.num_steps=9"]
    code = sweep.main(["--out", str(tmp_path), "--rows", "table5,no_fa", "--num", "7", "--", *extra])
    assert code == 3
    trained = [command[2] for command in commands if command[0] == "siv_jax.main"]
    assert trained == [f"ablations:{name}" for name in ("no_dr", "lambda_0.05", "full", "lambda_0.5", "no_fa")]
    assert commands[0] == ["siv_jax.main", "--config", "ablations:no_dr", *extra, "--workdir", str(tmp_path / "no_dr")]
    assert commands[1] == ["siv_jax.evaluate", "--workdir", str(tmp_path / "no_dr"), "--num", "7"]
    assert len(commands) == 9 and (tmp_path / "index.html").exists()
    told = capsys.readouterr()
    assert "lambda_0.05: siv_jax.main ended with exit code 3" in told.err
    for title in ("Table 3", "Table 4", "Table 5"):
        assert f"\n{title}, " in told.out
    assert "Table 6" not in told.out and "(clip)" not in told.out
    assert re.search(r"^0\.05 +0\.07 +- ", told.out, re.MULTILINE)
    assert re.search(r"^0\.15 +0\.08 +0\.500 +0\.33 +2\.500", told.out, re.MULTILINE)
    assert sweep.main(["--out", str(tmp_path), "--tables_only", "--format", "markdown"]) == 0
    assert re.search(r"^\| 0\.15 +\| +0\.08 \| +0\.500 \|", capsys.readouterr().out, re.MULTILINE)
    assert len(commands) == 9
    record.write(tmp_path / "no_fa" / "evaluation", measured(0.5) | {"protocol": {"id": "q", "samples": [9]}})
    with pytest.raises(UserError, match="made by different protocols"):
        sweep.main(["--out", str(tmp_path), "--tables_only"])


def test_dry_run_prints_the_commands_of_all_rows(sweep, tmp_path, capsys):
    assert sweep.main(["--out", str(tmp_path / "o"), "--dry_run", "--", "--config.data.path", "my photo.jpg"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("python")]
    assert len(lines) == 2 * len(NAMES) and not (tmp_path / "o").exists()
    for train, name in zip(lines[::2], NAMES, strict=True):
        given = arguments.parse(shlex.split(train)[3:])
        assert given.config.data.path == "my photo.jpg" and given.workdir == tmp_path / "o" / name


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--rows", "table7"], "there is no table7"),
        (["--tables_only"], "no evaluation of an ablation"),
        (["--", "--config", "quick"], "each ablation has its own"),
        (["--", "--workdir=x"], "each ablation has its own"),
        (["--num", "1"], "whole number from 2"),
    ],
)
def test_what_the_sweep_refuses(sweep, flags, complaint, tmp_path):
    with pytest.raises(UserError, match=complaint):
        sweep.main(["--out", str(tmp_path), *flags])


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_reaches_the_run_once_and_ends_the_sweep(number, code, tmp_path):
    """The stand-in notes each signal that it gets and needs some time to save."""
    stand_in = (
        "import pathlib, signal, sys, time; got = []\n"
        "for number in (2, 15): signal.signal(number, lambda number, _: got.append(number))\n"
        f"pathlib.Path({str(tmp_path / 'ready')!r}).touch()\n"
        "while not got: time.sleep(0.05)\n"
        "time.sleep(0.3); sys.exit(128 + got[0] if len(got) == 1 else 1)\n"
    )
    script = (
        f"import runpy, sys; sweep = runpy.run_path({str(SCRIPT)!r})\n"
        f"sys.exit(sweep['_run']([sys.executable, '-c', {stand_in!r}]))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script])
    deadline = time.monotonic() + 60
    while not (tmp_path / "ready").exists():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    assert process.wait(timeout=60) == code
