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
from jax.experimental.compilation_cache import compilation_cache
from measure import (
    Training,
    compare,
    device_name,
    emit,
    matrix_product_rate,
    parser_of,
    program_megabytes,
    rates,
    task_on_noise,
)

from siv_jax.nn.convolution import forced_form
from siv_jax.nn.precision import compute_dtype


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
    task, data, state = task_on_noise(given, given.frames, dtype=given.dtype)
    stage, seconds = task.stages[0], []
    with tempfile.TemporaryDirectory() as cache:
        jax.config.update("jax_compilation_cache_dir", cache)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
        for _ in range(2):
            begun = time.perf_counter()
            training = Training(stage, state, data)
            seconds.append(round(time.perf_counter() - begun, 2))
            jax.clear_caches()
        jax.config.update("jax_compilation_cache_dir", None)
        compilation_cache.reset_cache()  # which otherwise goes on writing to the folder that is gone

    jax.block_until_ready(training.steps(given.steps))
    speed = rates(lambda: training.steps(given.steps), given.steps, given.windows)
    dtype = compute_dtype(given.dtype)
    flops = arithmetic(stage, state, data)
    # Of a CPU the whole process's, with Python, JAX and the compiler.
    peak_kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ceiling = matrix_product_rate(dtype)
    statistics = jax.local_devices()[0].memory_stats() or {}
    return {
        "benchmark": "train_step",
        "device": device_name(),
        "jax": jax.__version__,
        "plan": dataclasses.asdict(task.plan),
        "ch": given.ch,
        "batch": given.batch,
        "dtype": dtype.name,
        "compile_seconds": {"cold": seconds[0], "from_cache": seconds[1]},
        "steps_per_second": speed,
        "gflop_per_step": round(flops / 1e9, 2),
        "gigabytes_accessed_per_step": round(training.compiled.cost_analysis()["bytes accessed"] / 1e9, 2),
        "matrix_product_tflop_per_second": round(ceiling / 1e12, 3),
        "share_of_matrix_product_rate": round(flops * speed["median"] / ceiling, 3),
        "program_megabytes": round(program_megabytes(training.compiled), 1),
        "peak_megabytes": round(statistics.get("peak_bytes_in_use", 1024 * peak_kilobytes) / 1e6, 1),
    }


def arithmetic(stage, state, data) -> float:
    """Floating-point operations of one step in the fused form.

    Counted before compilation: the compiled program of a CPU computes weight gradients in loops, whose bodies
    XLA counts once.
    """
    with forced_form("fused"):
        # A function of its own, since jax.jit would give back what it traced of the step in another form.
        step = jax.jit(lambda *arguments: stage.step(*arguments))
        lowered = step.lower(state, data, jax.random.key(0, impl="threefry2x32"), 0)
        return (lowered.cost_analysis() or lowered.compile().cost_analysis())["flops"]


if __name__ == "__main__":
    main()
