"""CPU seconds of a training step of any config, as one JSON line.

    taskset -c 0 python benchmarks/config_step.py --config fastgan:256 [--data pictures/] [--steps 3] [KEY=VALUE ...]

Processor time of the whole process, which other jobs on the machine disturb less than the clock; the step after
compilation is a warm-up and not counted. Without --data it trains on ten pictures of noise of the config's size.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import jax
import numpy as np
from measure import KEY, Training, device_name, emit, program_megabytes, summary

from siv_jax import config as config_lib
from siv_jax.cli import config_file
from siv_jax.data import open_source
from siv_jax.train import single


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", required=True)
    parser.add_argument("--data", default="")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--out", default="", help="file to append the result to")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    given = parser.parse_args()
    overrides = {key: _value(text) for key, _, text in (entry.partition("=") for entry in given.overrides)}
    config = config_lib.from_config_dict(config_file.load(given.config))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(given.data or f"{folder}/noise.npy")
        if not given.data:
            side = overrides.get("data.max_size", config.data.max_size)
            np.save(path, np.random.default_rng(0).integers(0, 256, (10, side, side, 3), np.uint8))
        config = config_lib.with_overrides(config, overrides | {"data.path": path})
        emit(measure(config, given) | {"overrides": overrides}, given.out)


def measure(config: config_lib.Config, given: argparse.Namespace) -> dict:
    """Compiles the first stage's program, warms up, and times single steps."""
    task = single.make_task(config, open_source(config.data), 1)
    stage = task.stages[0]
    data = stage.data(task.source)
    state = stage.init(KEY, data, None)
    begun = time.process_time()
    training = Training(stage, state, data)
    compiling = time.process_time() - begun
    jax.block_until_ready(training.steps(1))
    taken = [_cpu_seconds(training) for _ in range(given.steps)]
    return {
        "benchmark": "config_step",
        "device": device_name(),
        "cores": len(os.sched_getaffinity(0)),
        "jax": jax.__version__,
        "config": given.config,
        "plan": task.plan.__dict__,
        "batch": config.batch_size,
        "compile_cpu_seconds": round(compiling, 1),
        "cpu_seconds_per_step": summary(taken),
        "program_megabytes": round(program_megabytes(training.compiled), 1),
        "estimated_megabytes": round(task.family.memory(config, task.plan, task.source.num_frames) / 1e6, 1),
    }


def _cpu_seconds(training: Training) -> float:
    begun = time.process_time()
    jax.block_until_ready(training.steps(1))
    return time.process_time() - begun


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


if __name__ == "__main__":
    main()
