"""A protocol of small models, its pictures, and cells done within the test's own process."""

from pathlib import Path

import numpy as np
import toy_runs
import yaml
from PIL import Image

from siv_jax.errors import DivergedError, UserError
from siv_jax.experiments import cells, make, probe, run, worker

SIZE = 48, 64  # height, width; also of other tests, so that all share compiled programs
_SETTINGS = {"log_every": 20, "sample_every": 40, "checkpoint_every": 40, "num_samples": 2, "rendered_size": 0}
TINY = {
    "num_steps": 20,
    "batch_size": 4,
    "model.ch_g": 1,
    "model.ch_d": 8,
    "model.noise_dim": 8,
    "model.num_blocks_d": 2,
    "model.num_blocks_low_level": 1,
    "data.max_size": 64,
}
ROWS = [
    {"title": "Toy", "config": "toy.json"},
    {"title": "Toy rendered", "samples": "rendered", "config": "toy.json"},
    {"title": "Tiny SIV-GAN", "config": "single_image", "budgets": {"small": TINY}},
    {"title": "patches", "samples": "noise"},
]


def write_protocol(folder: Path, rows: list[dict] | None = None, **budget) -> Path:
    """Writes mine.yaml, with one budget, `small`, and the config that it names; returns its path."""
    small = {"samples": 3, "size": 64, "settings": {**_SETTINGS, "data.max_size": 32}, **budget}
    content = {"title": "Small models", "inputs": "either", "table": 1, "budgets": {"small": small}}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "toy.json").write_text('{"model": {"name": "toy"}}')
    (folder / "mine.yaml").write_text(yaml.safe_dump(content | {"rows": ROWS if rows is None else rows}))
    return folder / "mine.yaml"


def write_picture(path: Path, seed: int, size: tuple[int, int] = SIZE) -> None:
    """A smooth picture of a seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    colours = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    Image.fromarray(colours).resize(size[::-1], Image.Resampling.BICUBIC).save(path)


class Ended:
    """Stands for the process of a cell that has ended."""

    def __init__(self, code: int):
        self.returncode = code

    def poll(self) -> int:
        return self.returncode


def launch_here(done: list[str]):
    """A stand-in for run.launch that does the cell in this process, and notes it in `done`."""

    def launch(cell: cells.Cell, environment: dict[str, str]) -> Ended:
        assert environment == {}
        done.append(f"{cell.row.title}, {cell.name}")
        try:
            return Ended(worker.work(cell.folder))
        except (UserError, DivergedError) as error:
            (cell.folder / cells.LOG).write_text(f"on the way\nerror: {error}\n")
            return Ended(error.exit_code)

    return launch


def make_here(monkeypatch, *arguments, launch=None, **options) -> tuple[int, list[str], list[str]]:
    """(exit code, what was said, cells that were done) of make.make without further processes."""
    said: list[str] = []
    done: list[str] = []
    monkeypatch.setattr(run, "launch", launch or launch_here(done))
    monkeypatch.setattr(probe, "ask", lambda configs, devices: probe.Machine("cpu", 1, [60.0] * len(configs)))
    code = make.make(*arguments, budget=options.pop("budget", "small"), say=said.append, **options)
    return code, said, done


def values(result: dict) -> dict:
    """What metrics.json holds without what the clock and the memory say."""
    experiment = dict(result[cells.EXPERIMENT])
    experiment.pop("drawing_seconds")
    training = experiment.pop("training")
    steps = training and training["steps"]
    return {**result, cells.EXPERIMENT: experiment, "steps": steps, "images": [_placeless(i) for i in result["images"]]}


def _placeless(image: dict) -> dict:
    return {key: value for key, value in image.items() if key != "source"}


assert_same_run = toy_runs.assert_same_run
