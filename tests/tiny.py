"""The smallest run there is, shared by all tests so that each of its programs compiles once."""

import os
import subprocess
import sys
from pathlib import Path

from siv_jax import config as config_lib

# A step of it takes a few milliseconds; one program serves every test with these shapes.
OVERRIDES = {
    "num_steps": 40,
    "batch_size": 4,
    "log_every": 10,
    "sample_every": 20,
    "checkpoint_every": 10,
    "num_samples": 4,
    "rendered_size": 0,
    "data.path": "example:balloons",
    "data.max_size": 64,
    "model.ch_g": 1,
    "model.ch_d": 8,
    "model.noise_dim": 8,
    "model.num_blocks_d": 2,
    "model.num_blocks_low_level": 1,
}


def config(**changes) -> config_lib.Config:
    """The tiny config; `changes` are given under dotted names with __ for the dot: data__path="x.png"."""
    default = config_lib.from_config_dict(config_lib.default())
    return config_lib.with_overrides(default, OVERRIDES | _dotted(changes))


def _dotted(changes: dict) -> dict:
    return {name.replace("__", "."): value for name, value in changes.items()}


def arguments(workdir: Path, **changes) -> list[str]:
    """Command-line arguments of siv_jax.main for the tiny run."""
    flags = ["--config", "single_image", "--workdir", str(workdir)]
    for key, value in (OVERRIDES | _dotted(changes)).items():
        flags += [f"--config.{key}={value}"]
    return flags


def command(module: str, *arguments: str, devices: int = 1, **settings) -> subprocess.CompletedProcess:
    """Runs `python -m module arguments` as users do, on so many CPU devices; output is text."""
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env=environment(devices),
        capture_output=True,
        text=True,
        timeout=600,
        **settings,
    )


def environment(devices: int = 1) -> dict[str, str]:
    """Environment of a command that a test starts: the CPU, the shared compilation cache."""
    return os.environ | {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
        "JAX_NUMPY_DTYPE_PROMOTION": "strict",
    }
