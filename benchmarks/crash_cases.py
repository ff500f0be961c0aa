"""The commands that crash.py disturbs, each with the smallest input that has it write all that it writes."""

import functools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tiny
import toy_runs
import toy_tables
from consingan_runs import OVERRIDES as CONSINGAN
from crash_run import Case, Child
from PIL import Image
from test_fastgan_runs import OVERRIDES as FASTGAN
from test_ingan_run import OVERRIDES as INGAN
from test_osmis_runs import OVERRIDES as OSMIS
from test_singan import OVERRIDES as SINGAN

from siv_jax import edit, evaluate, main, render, sample, tables
from siv_jax.experiments import probe
from siv_jax.metrics import nearest

_LAUNCHER = Path(__file__).parent.parent / "launch" / "local_processes.py"
nearest.VIEWS = 8  # most of an evaluation's time goes into these
_MASKS = {"data.path": "example:balloons", "data.mask": "example:balloons"}
FAMILIES = {
    "toy": toy_runs.OVERRIDES,
    "siv_gan": tiny.OVERRIDES,
    "osmis": OSMIS | _MASKS | {"num_steps": 16},
    "singan": SINGAN,
    "consingan": CONSINGAN,
    "fastgan": FASTGAN,
    "ingan": INGAN,
}
# Of a trained model: the command, the model's family, further arguments, where {photo} and {mask} are files.
_COMMANDS = {
    "sample": (sample, "toy", "--num 200"),
    "walk": (sample, "toy", "--interpolate 4"),
    "labels": (sample, "osmis", "--num 40 --labels coco"),
    "render": (render, "toy", "--num 12 --size 64x48"),
    "evaluate": (evaluate, "toy", "--num 4 --size 64x48"),
    "edit": (edit, "toy", "--task harmonize --image {photo} --mask {mask} --num 40"),
    "animate": (edit, "toy", "--task animate --frames 40"),
}
NAMES = (*FAMILIES, "cold", "fleet", "processes", *_COMMANDS, "tables")
# Those with checkpoints that can be damaged.
TRAINING = (*FAMILIES, "fleet")


def make(name: str, scratch: Path) -> Case:
    """The case of this name; what it needs is made in `scratch`."""
    if name in FAMILIES:
        return Case(main.main, _training(name, scratch))
    if name == "cold":
        return Case(main.main, _training("toy", scratch), cold=True)
    others = {"fleet": _fleet, "processes": _processes, "tables": _tables}
    return others.get(name, functools.partial(_command, name))(scratch)


def _training(family: str, scratch: Path, **changes: object) -> Callable[[Path], list[str]]:
    """The arguments that train the smallest model of a family, by the folder of the run."""
    config = scratch / f"{family}.json"
    config.write_text(json.dumps({"model": {"name": family}}))
    flags = [f"--config.{key}={value}" for key, value in (FAMILIES[family] | changes).items()]
    return lambda folder: ["--config", str(config), "--workdir", str(folder), "--devices", "1", *flags]


def _fleet(scratch: Path) -> Case:
    for i in range(3):
        toy_tables.write_picture(scratch / "pictures" / f"{i}.png", i)
    changes = {"data.path": scratch / "pictures", "fleet.enabled": True}
    return Case(main.main, _training("toy", scratch, **changes))


def _processes(scratch: Path) -> Case:
    """Two processes that train one model of the toy family."""
    launcher = [sys.executable, str(_LAUNCHER), "--processes", "2", "--devices", "1", "--", sys.executable]
    training = _training("toy", scratch)

    def arguments(folder: Path) -> list[str]:
        words = training(folder)
        at = words.index("--devices")  # all of a job's
        return ["-m", "siv_jax.main", *words[:at], *words[at + 2 :]]

    return Case(lambda words: subprocess.call([*launcher, *words]), arguments, whole=True)


def _command(name: str, scratch: Path) -> Case:
    command, family, text = _COMMANDS[name]
    trained = scratch / "trained"
    child = Child(lambda: main.main(_training(family, scratch)(trained)), scratch / "output.txt")
    if child.wait():
        raise SystemExit(f"the model of {name} was not trained: {child.said()}")
    files = {"photo": scratch / "photo.png", "mask": scratch / "mask.png"}
    toy_tables.write_picture(files["photo"], 0)
    marked = np.zeros(toy_tables.SIZE, np.uint8)
    marked[10:30, 20:40] = 255
    Image.fromarray(marked).save(files["mask"])
    words = text.format(**files).split()
    return Case(command.main, lambda folder: ["--workdir", str(trained), "--out", str(folder), *words])


def _tables(scratch: Path) -> Case:
    """One cell; the process that would time a step is left out."""
    probe.ask = lambda configs, devices: probe.Machine("cpu", 1, [60.0] * len(configs))
    toy_tables.write_picture(scratch / "pictures" / "a.png", 0)
    protocol = toy_tables.write_protocol(scratch / "protocol", toy_tables.ROWS[:1])
    words = ["--protocol", str(protocol), "--data", str(scratch / "pictures"), "--budget", "small"]
    return Case(tables.main, lambda folder: [*words, "--out", str(folder)])
