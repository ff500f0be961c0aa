"""CPU seconds of a training step at every scale of a model that grows, as one JSON line.

    taskset -c 0 python benchmarks/pyramid_step.py singan [--height 188] [--width 250] [--set KEY=VALUE] [--out FILE]

The picture is noise and so are the weights below the first scale: the arithmetic is the same. CPU seconds, not the
clock's: other programs may share the core. The least of the windows counts.
"""

import argparse
import ast
import dataclasses
import functools
import resource
import tempfile
import time
from pathlib import Path

import jax
import numpy as np
from measure import KEY, Training, device_name, emit, program_megabytes

from siv_jax import config as config_lib
from siv_jax.cli import config_file
from siv_jax.data import open_source
from siv_jax.train import single


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="name of a config file, such as singan")
    parser.add_argument("--height", type=int, default=188)
    parser.add_argument("--width", type=int, default=250)
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="other values of settings")
    parser.add_argument("--scales", nargs="*", type=int, help="only these, from 0")
    parser.add_argument("--steps", type=int, default=1, help="per window")
    parser.add_argument("--windows", type=int, default=2)
    parser.add_argument("--out", default="", help="file to append the result to")
    given = parser.parse_args()
    emit(measure(given), given.out)


def measure(given: argparse.Namespace) -> dict:
    """Compiles and times the scales one after another."""
    task = task_of(given)
    shapes, scales, rng = None, [], np.random.default_rng(0)
    for number, stage in enumerate(task.stages):
        data = stage.data(task.source)
        shapes = jax.eval_shape(functools.partial(stage.init, KEY, data), shapes)
        if given.scales is None or number in given.scales:
            state = jax.tree.map(functools.partial(_noise, rng), shapes)
            scales.append({"scale": number} | measured(stage, state, data, given))
            print(scales[-1], flush=True)
    return {
        "benchmark": "pyramid_step",
        "device": device_name(),
        "jax": jax.__version__,
        "config": given.config,
        "settings": given.set,
        "num_steps_each": task.stages[0].num_steps,
        "scales": scales,
        "cpu_seconds_of_a_step_summed": round(sum(scale["cpu_seconds"] for scale in scales), 3),
        "memory_estimate_megabytes": round(task.family.memory(task.config, task.plan, 1) / 1e6, 1),
        "peak_megabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }


def task_of(given: argparse.Namespace):
    """The config's task on a picture of noise."""
    overrides = {key: _value(text) for key, text in (pair.split("=", 1) for pair in given.set)}
    config = config_lib.from_config_dict(config_file.load(given.config))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "noise.npy"
        np.save(path, np.random.default_rng(0).integers(0, 256, (1, given.height, given.width, 3), np.uint8))
        config = config_lib.with_overrides(config, overrides | {"data.path": str(path)})
        source = open_source(config.data)
        frames = list(source.frames())
        # The stages read the source again and again, when the file is gone.
        return single.make_task(config, dataclasses.replace(source, frames=lambda: iter(frames)), 1)


def measured(stage, state, data, given: argparse.Namespace) -> dict:
    """CPU seconds of a step after one to warm up, and what the compiler says of the program."""
    begun = time.process_time()
    training = Training(stage, state, data)
    compiling = time.process_time() - begun
    jax.block_until_ready(training.steps(1))
    windows = []
    for _ in range(given.windows):
        begun = time.process_time()
        jax.block_until_ready(training.steps(given.steps))
        windows.append((time.process_time() - begun) / given.steps)
    return {
        "cpu_seconds": round(min(windows), 4),
        "cpu_seconds_highest": round(max(windows), 4),
        "compile_cpu_seconds": round(compiling, 2),
        "program_megabytes": program_megabytes(training.compiled),
    }


def _noise(rng: np.random.Generator, leaf: jax.ShapeDtypeStruct) -> np.ndarray:
    """Small positive numbers, so that variances among them are none below 0; counts are 0."""
    if leaf.dtype != np.float32:
        return np.zeros(leaf.shape, leaf.dtype)
    return (0.02 * np.abs(rng.standard_normal(leaf.shape)) + 0.001).astype(np.float32)


def _value(text: str) -> object:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


if __name__ == "__main__":
    main()
