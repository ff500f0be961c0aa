"""Speed of a fleet on one device, by strategy and size, as one JSON line for each.

    python benchmarks/fleet.py --height 48 --width 64 [--ch 32] [--models 1 2 4] [--strategies ...] [--out FILE]

steps_per_second counts the steps of all models together, so it compares directly with a fleet of one.
"""

import time

import jax
import numpy as np
from measure import device_name, emit, parser_of, rates

from siv_jax.config import Config, ModelConfig
from siv_jax.models.siv_gan.plan import Plan, make_plan
from siv_jax.models.siv_gan.state import init_state
from siv_jax.train import devices as parallel
from siv_jax.train.fleet_strategy import Arrangement


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--dtype", default="auto", choices=("auto", "float32", "bfloat16"))
    parser.add_argument("--models", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--strategies", nargs="+", default=["sequential", "mapped", "unrolled"])
    parser.add_argument("--steps", type=int, default=10, help="steps of each model per timed window")
    parser.add_argument("--windows", type=int, default=7)
    given = parser.parse_args()
    model = ModelConfig(ch_g=given.ch, ch_d=given.ch, dtype=given.dtype)
    config = Config(batch_size=given.batch, model=model)
    plan = make_plan(given.height, given.width, 3, max(given.height, given.width), model)
    for models in given.models:
        for strategy in given.strategies if models > 1 else given.strategies[:1]:
            emit(measure(plan, config, strategy, models, given.steps, given.windows), given.out)


def measure(plan: Plan, config: Config, strategy: str, models: int, steps: int, windows: int) -> dict:
    """Trains `models` from noise for a window to warm up and `windows` that are timed."""
    lanes = 1 if strategy == "sequential" else models
    trainer = Arrangement(1, lanes, strategy == "mapped", "").trainer(plan, config)
    frames = np.random.default_rng(0).integers(0, 256, (1, plan.height, plan.width, 3)).astype(np.uint8)
    state, held = trainer.put(*[init_state(plan, config)] * lanes), trainer.put(*[frames] * lanes)
    begun, worked = time.perf_counter(), time.process_time()
    program = trainer.compile(state, held)
    compiled = {"wall": round(time.perf_counter() - begun, 1), "cpu": round(time.process_time() - worked, 1)}
    totals = trainer.zero_totals()

    def window():
        nonlocal state, totals
        for _ in range(models // lanes):
            state, totals, ticket = trainer.advance(state, totals, held, steps)
        return ticket

    jax.block_until_ready(window())
    worked = time.process_time()
    speed = rates(window, steps * models, windows)
    memory = program.memory_analysis()
    return {
        "benchmark": "fleet",
        "device": device_name(),
        "jax": jax.__version__,
        "strategy": strategy,
        "models": models,
        "size": [plan.height, plan.width],
        "ch": config.model.ch_g,
        "batch": config.batch_size,
        "dtype": parallel.compute_dtype(config.model.dtype).name,
        "compile_seconds": compiled,
        "steps_per_second": speed,
        "cpu_seconds_per_step": round((time.process_time() - worked) / (steps * models * windows), 4),
        "program_megabytes": round((memory.temp_size_in_bytes + memory.argument_size_in_bytes) / 1e6, 1),
    }


if __name__ == "__main__":
    main()
