"""Speed of sampling, as one JSON line.

    python benchmarks/sample.py --height 192 --width 320 [--ch 32] [--count 100] [--out FILE]
    python benchmarks/sample.py --compare a.json b.json
"""

import dataclasses

import jax
from measure import compare, device_name, emit, parser_of, rates, task_on_noise

from siv_jax.nn.precision import compute_dtype
from siv_jax.sampling.drawer import Drawer


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--count", type=int, default=100, help="images per timed window")
    parser.add_argument("--dtype", default="auto", choices=("auto", "float32", "bfloat16"))
    parser.add_argument("--windows", type=int, default=5)
    parser.add_argument("--compare", nargs=2, metavar="FILE")
    given = parser.parse_args()
    if given.compare:
        compare(given.compare, "images_per_second")
        return
    task, _, state = task_on_noise(given, dtype=given.dtype)
    drawer = Drawer(task.family.sampler(task.config, task.plan), task.plan)
    weights, noise = jax.device_put(task.stages[0].weights(state)), drawer.sampler.noise(0, 0, given.count)

    def window():
        return drawer(weights, noise).images

    window()
    result = {
        "benchmark": "sample",
        "device": device_name(),
        "jax": jax.__version__,
        "plan": dataclasses.asdict(task.plan),
        "ch": given.ch,
        "dtype": compute_dtype(given.dtype).name,
        "images_per_second": rates(window, given.count, given.windows),
    }
    emit(result, given.out)


if __name__ == "__main__":
    main()
