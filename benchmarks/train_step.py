"""Speed of training, as one JSON line.

    python benchmarks/train_step.py --height 192 --width 320 [--ch 32] [--batch 5] [--dtype auto] [--out FILE]
    python benchmarks/train_step.py --compare a.json b.json
"""

import argparse
import dataclasses
import resource
import tempfile
import time

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.compilation_cache import compilation_cache
from measure import compare, device_name, emit, matrix_product_rate, parser_of, rates

from siv_jax.config import Config, ModelConfig
from siv_jax.models.siv_gan.plan import Plan, make_plan
from siv_jax.models.siv_gan.state import init_state
from siv_jax.models.siv_gan.step import make_train_step
from siv_jax.nn.convolution import forced_form
from siv_jax.train import devices as parallel


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--frames", type=int, default=1)
    parser.add_argument("--dtype", default="auto", choices=("auto", "float32", "bfloat16"))
    parser.add_argument("--steps", type=int, default=10, help="steps per timed window")
    parser.add_argument("--windows", type=int, default=7)
    parser.add_argument("--compare", nargs=2, metavar="FILE")
    given = parser.parse_args()
    if given.compare:
        compare(given.compare, "steps_per_second")
    else:
        emit(measure(given), given.out)


def measure(given: argparse.Namespace) -> dict:
    """Compiles twice, cold and from the cache, then times windows of steps after one to warm up."""
    model = ModelConfig(ch_g=given.ch, ch_d=given.ch, dtype=given.dtype)
    config = Config(batch_size=given.batch, model=model)
    plan = make_plan(given.height, given.width, 3, max(given.height, given.width), model)
    shape = (given.frames, plan.height, plan.width, 3)
    frames = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)

    with tempfile.TemporaryDirectory() as cache:
        jax.config.update("jax_compilation_cache_dir", cache)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
        seconds = []
        for _ in range(2):
            trainer = parallel.Trainer(plan, config, num_devices=1)
            state, held = trainer.put(init_state(plan, config)), trainer.put(frames)
            begun = time.perf_counter()
            program = trainer.compile(state, held)
            seconds.append(round(time.perf_counter() - begun, 2))
            jax.clear_caches()
        jax.config.update("jax_compilation_cache_dir", None)
        compilation_cache.reset_cache()  # which otherwise goes on writing to the folder that is gone

    totals = trainer.zero_totals()

    def window():
        nonlocal state, totals
        state, totals, ticket = trainer.advance(state, totals, held, given.steps)
        return ticket

    jax.block_until_ready(window())
    speed = rates(window, given.steps, given.windows)
    dtype = parallel.compute_dtype(given.dtype)
    flops, memory = arithmetic(plan, config, dtype, frames), program.memory_analysis()
    # Of a CPU the whole process's, with Python, JAX and the compiler.
    peak_kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ceiling = matrix_product_rate(dtype)
    statistics = jax.local_devices()[0].memory_stats() or {}
    return {
        "benchmark": "train_step",
        "device": device_name(),
        "jax": jax.__version__,
        "plan": dataclasses.asdict(plan),
        "ch": given.ch,
        "batch": given.batch,
        "dtype": dtype.name,
        "compile_seconds": {"cold": seconds[0], "from_cache": seconds[1]},
        "steps_per_second": speed,
        "gflop_per_step": round(flops / 1e9, 2),
        "gigabytes_accessed_per_step": round(program.cost_analysis()["bytes accessed"] / 1e9, 2),
        "matrix_product_tflop_per_second": round(ceiling / 1e12, 3),
        "share_of_matrix_product_rate": round(flops * speed["median"] / ceiling, 3),
        "program_megabytes": round((memory.temp_size_in_bytes + memory.argument_size_in_bytes) / 1e6, 1),
        "peak_megabytes": round(statistics.get("peak_bytes_in_use", 1024 * peak_kilobytes) / 1e6, 1),
    }


def arithmetic(plan: Plan, config: Config, dtype: jnp.dtype, frames: np.ndarray) -> float:
    """Floating-point operations of one step in the fused form.

    Counted before compilation: the compiled program of a CPU computes weight gradients in loops, whose bodies
    XLA counts once.
    """
    with forced_form("fused"):
        step = jax.jit(make_train_step(plan, config, dtype))
        return step.lower(init_state(plan, config), frames).cost_analysis()["flops"]


if __name__ == "__main__":
    main()
