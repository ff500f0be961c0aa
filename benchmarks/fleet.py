"""Whether several models at once on one device pay: their steps one after another, and as one vmapped step.

    python benchmarks/fleet.py --height 48 --width 64 [--ch 32] [--models 1 2 4] [--out FILE]

One JSON line for each number of models and way. steps_per_second counts the steps of all models together. A fleet
trains one after another on each device.
"""

import time

import jax
import numpy as np
from measure import Training, device_name, emit, parser_of, program_megabytes, rates, task_on_noise

from siv_jax.nn.precision import compute_dtype


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--dtype", default="auto", choices=("auto", "float32", "bfloat16"))
    parser.add_argument("--models", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--steps", type=int, default=10, help="steps of each model per timed window")
    parser.add_argument("--windows", type=int, default=7)
    given = parser.parse_args()
    about = {"benchmark": "fleet", "device": device_name(), "jax": jax.__version__}
    about |= {name: getattr(given, name) for name in ("height", "width", "ch", "batch")}
    about |= {"dtype": compute_dtype(given.dtype).name}
    for models in given.models:
        for way in ("one after another", "vmapped") if models > 1 else ("one after another",):
            emit(about | {"models": models, "way": way} | measure(given, models, way == "vmapped"), given.out)


def measure(given, models: int, vmapped: bool) -> dict:
    """Trains `models` from noise for a window to warm up and `windows` that are timed."""
    task, data, state = task_on_noise(given, dtype=given.dtype)
    stage = task.stages[0]
    if vmapped:
        stage = Vmapped(stage, models)
        state, data = (jax.tree.map(lambda leaf: np.stack([leaf] * models), tree) for tree in (state, data))
    begun, worked = time.perf_counter(), time.process_time()
    training = Training(stage, state, data)
    compiled = {"wall": round(time.perf_counter() - begun, 1), "cpu": round(time.process_time() - worked, 1)}
    turns = 1 if vmapped else models

    def window():
        return [training.steps(given.steps) for _ in range(turns)]

    jax.block_until_ready(window())
    worked = time.process_time()
    speed = rates(window, given.steps * models, given.windows)
    return {
        "compile_seconds": compiled,
        "steps_per_second": speed,
        "cpu_seconds_per_step": round((time.process_time() - worked) / (given.steps * models * given.windows), 4),
        "program_megabytes": round(program_megabytes(training.compiled), 1),
    }


class Vmapped:
    """A stage that trains `models` at once; metrics are their means."""

    def __init__(self, stage, models: int):
        self._stage, self._models = stage, models

    def step(self, state, data, key, step):
        keys = jax.random.split(key, self._models)
        state, metrics = jax.vmap(self._stage.step, (0, 0, 0, None))(state, data, keys, step)
        return state, jax.tree.map(lambda values: values.mean(), metrics)


if __name__ == "__main__":
    main()
