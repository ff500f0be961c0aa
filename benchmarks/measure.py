"""What the benchmarks share: the device's own ceiling, timing over windows, and comparing two results."""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from siv_jax import config as config_lib
from siv_jax.data import open_source
from siv_jax.train import devices, single
from siv_jax.train.task import Task

KEY = np.zeros(2, np.uint32)  # of all randomness


def parser_of(doc: str) -> argparse.ArgumentParser:
    """A parser of the arguments that every benchmark of the networks takes: picture, width, batch, and a file."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--height", type=int, default=192)
    parser.add_argument("--width", type=int, default=320)
    parser.add_argument("--ch", type=int, default=32)
    parser.add_argument("--batch", type=int, default=5)
    parser.add_argument("--out", default="", help="file to append the results to")
    return parser


def task_on_noise(given: argparse.Namespace, frames: int = 1, **model: object) -> tuple[Task, Any, Any]:
    """Training of the usual model at the size, width and batch of the arguments, on noise: task, data, first state.

    `model` has other settings of the model.
    """
    settings = {"ch_g": given.ch, "ch_d": given.ch, **model}
    overrides = {f"model.{key}": value for key, value in settings.items()}
    overrides |= {"batch_size": given.batch, "data.max_size": max(given.height, given.width)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "noise.npy"
        np.save(path, np.random.default_rng(0).integers(0, 256, (frames, given.height, given.width, 3), np.uint8))
        config = config_lib.from_config_dict(config_lib.default())
        config = config_lib.with_overrides(config, overrides | {"data.path": path})
        task = single.make_task(config, open_source(config.data), 1)
        data = task.stages[0].data(task.source)
    return task, data, task.stages[0].init(KEY, data, None)


class Training:
    """A model in training on the first device, its program compiled."""

    def __init__(self, stage, state, data):
        self._program = devices.Program(stage, jax.devices()[:1])
        self.compiled = self._program.compile(state, data)
        self._state, self._data = self._program.put(state), self._program.put(data)
        self._totals, self._at = self._program.zero_totals(), 0

    def steps(self, count: int) -> jax.Array:
        """Trains so many steps; returns what is ready when they are done."""
        self._state, self._totals, ticket = self._program.advance(
            self._state, self._totals, self._data, KEY, self._at, count
        )
        self._at += count
        return ticket


def program_megabytes(program: jax.stages.Compiled) -> float:
    """Memory of a program and of what it is given."""
    memory = program.memory_analysis()
    return (memory.temp_size_in_bytes + memory.argument_size_in_bytes) / 1e6


def device_name() -> str:
    """Kind of the first device, such as "NVIDIA H200" or "cpu"."""
    return jax.devices()[0].device_kind


def matrix_product_rate(dtype: jnp.dtype) -> float:
    """Floating-point operations per second of a large matrix product, the median of five timings."""
    size = 1024 if jax.default_backend() == "cpu" else 8192
    a = jax.random.normal(jax.random.key(0), (size, size), dtype)
    multiply = jax.jit(lambda x: x @ x)
    jax.block_until_ready(multiply(a))
    return 2 * size**3 / statistics.median(timed(lambda: multiply(a)) for _ in range(5))


def timed(function: Callable) -> float:
    """Seconds until the arrays that `function` returns are ready."""
    begun = time.perf_counter()
    jax.block_until_ready(function())
    return time.perf_counter() - begun


def rates(function: Callable[[], object], amount: int, windows: int) -> dict[str, float]:
    """Median, lowest and highest rate of `amount` per call of `function` over `windows` calls."""
    return summary([amount / timed(function) for _ in range(windows)])


def summary(values: list[float]) -> dict[str, float]:
    """Median, lowest and highest of what was measured."""
    measured = sorted(values)
    return {
        "median": round(statistics.median(measured), 4),
        "lowest": round(measured[0], 4),
        "highest": round(measured[-1], 4),
    }


def emit(result: dict, out: str) -> None:
    """Prints `result` as one JSON line and appends it to the file `out`, if one is named."""
    line = json.dumps(result)
    print(line)
    if out:
        with open(out, "a") as file:
            file.write(line + "\n")


def compare(paths: list[str], key: str) -> None:
    """Prints the ratio of `key`'s median in the last line of the second file to that of the first."""
    first, second = (json.loads(Path(path).read_text().splitlines()[-1]) for path in paths)
    ratio = second[key]["median"] / first[key]["median"]
    print(json.dumps({"first": first[key], "second": second[key], "second_over_first": round(ratio, 3)}))
