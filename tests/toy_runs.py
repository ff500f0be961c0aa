"""Runs of the toy family: two stages of 20 steps that take milliseconds."""

import json
from pathlib import Path

import jax
import numpy as np
from toy.config import Config, ModelConfig

from siv_jax import config as config_lib
from siv_jax.train import single
from siv_jax.workdir import checkpoint, layout

OVERRIDES = {
    "log_every": 5,
    "sample_every": 10,
    "checkpoint_every": 10,
    "num_samples": 4,
    "rendered_size": 0,
    "data.path": "example:balloons",
    "data.max_size": 32,
}


def config(**changes) -> Config:
    """The toy config; `changes` are given under dotted names with __ for the dot."""
    given = {name.replace("__", "."): value for name, value in changes.items()}
    return config_lib.with_overrides(Config(model=ModelConfig()), OVERRIDES | given)


def train(folder: Path, devices: int = 1, watch=None, **changes) -> tuple[str | None, list[str]]:
    """(signal that stopped it, what it said)."""
    said: list[str] = []
    return single.train(config(**changes), folder, devices, False, said.append, watch), said


def arguments(folder: Path, config_file: Path) -> list[str]:
    """Arguments of siv_jax.main for the same run; `config_file` is written."""
    values = {key: value for key, value in config_lib.flatten(config()).items() if key in OVERRIDES}
    lines = ["from siv_jax import config", "def get_config():", "    values = config.default('toy')"]
    lines += [f"    values.update_from_flattened_dict({values!r})", "    return values"]
    config_file.write_text("\n".join(lines))
    return ["--config", str(config_file), "--workdir", str(folder), "--devices", "1"]


def arrays(folder: Path) -> list[np.ndarray]:
    """Everything in the newest checkpoint."""
    with checkpoint.Checkpoints(folder / layout.CHECKPOINTS, 3) as checkpoints:
        saved, _ = checkpoints.restore()
        return jax.tree.leaves((saved.weights, saved.rest))


def logged(folder: Path) -> list[dict]:
    """The entries of scalars.jsonl without what the clock says."""
    entries = [json.loads(line) for line in (folder / layout.SCALARS).read_text().splitlines()]
    return [{k: v for k, v in entry.items() if k not in ("seconds", "steps_per_second")} for entry in entries]


def steps_in(folder: Path) -> list[int]:
    """Steps of the checkpoints of a workdir."""
    return sorted(int(path.name) for path in (folder / layout.CHECKPOINTS).iterdir() if path.name.isdecimal())


def pictures(folder: Path) -> dict[str, bytes]:
    """Final samples and grids."""
    kinds = [folder / layout.SAMPLES, folder / layout.GRIDS]
    return {f"{kind.name}/{path.name}": path.read_bytes() for kind in kinds for path in kind.iterdir()}


def assert_same_run(found: Path, expected: Path) -> None:
    """Every array of the last checkpoint, every logged loss, the final samples and all grids are equal bit for bit."""
    for one, other in zip(arrays(found), arrays(expected), strict=True):
        np.testing.assert_array_equal(one, other)
    assert logged(found) == logged(expected)
    assert pictures(found) == pictures(expected) and len(pictures(found)) > 5
