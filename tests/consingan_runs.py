"""Tiny ConSinGAN runs, shared by tests so that each of their programs compiles once."""

from pathlib import Path

from siv_jax import config as config_lib
from siv_jax.models.consingan.config import Config
from siv_jax.train import single

OVERRIDES = {
    "num_steps": 6,
    "log_every": 2,
    "sample_every": 3,
    "checkpoint_every": 2,
    "num_samples": 2,
    "rendered_size": 0,
    "data.path": "example:balloons",
    "data.max_size": 24,
    "model.width": 4,
    "model.num_stages": 2,
    "model.min_size": 12,
}


def config(**changes) -> Config:
    """The tiny config; `changes` are given under dotted names with __ for the dot."""
    given = {name.replace("__", "."): value for name, value in changes.items()}
    return config_lib.with_overrides(Config(), OVERRIDES | given)


def train(folder: Path, devices: int = 1, watch=None, **changes) -> tuple[str | None, list[str]]:
    """(signal that stopped it, what it said)."""
    said: list[str] = []
    return single.train(config(**changes), folder, devices, False, said.append, watch), said
