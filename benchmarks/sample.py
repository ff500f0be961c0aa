"""Speed of sampling, as one JSON line.

    python benchmarks/sample.py --height 192 --width 320 [--ch 32] [--count 100] [--out FILE]
    python benchmarks/sample.py --compare a.json b.json
"""

import argparse
import dataclasses

import jax
from measure import compare, device_name, emit, rates

from siv_jax.config import Config, ModelConfig
from siv_jax.models.siv_gan.plan import make_plan
from siv_jax.models.siv_gan.state import init_state
from siv_jax.sampling.trained_model import Sampler, latents
from siv_jax.train import devices as parallel


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--height", type=int, default=192)
    parser.add_argument("--width", type=int, default=320)
    parser.add_argument("--ch", type=int, default=32)
    parser.add_argument("--count", type=int, default=100, help="images per timed window")
    parser.add_argument("--dtype", default="auto", choices=("auto", "float32", "bfloat16"))
    parser.add_argument("--windows", type=int, default=5)
    parser.add_argument("--out", default="", help="file to append the line to")
    parser.add_argument("--compare", nargs=2, metavar="FILE")
    given = parser.parse_args()
    if given.compare:
        compare(given.compare, "images_per_second")
        return
    model = ModelConfig(ch_g=given.ch, ch_d=given.ch, dtype=given.dtype)
    plan = make_plan(given.height, given.width, 3, max(given.height, given.width), model)
    state = jax.device_put(init_state(plan, Config(model=model)))
    sampler, z = Sampler(plan, model), latents(0, 0, given.count, model.noise_dim)

    def window():
        return sampler(state.ema, state.vectors_g, z)

    window()
    result = {
        "benchmark": "sample",
        "device": device_name(),
        "jax": jax.__version__,
        "plan": dataclasses.asdict(plan),
        "ch": given.ch,
        "dtype": parallel.compute_dtype(given.dtype).name,
        "images_per_second": rates(window, given.count, given.windows),
    }
    emit(result, given.out)


if __name__ == "__main__":
    main()
