"""Forms of the networks' 3x3 convolutions against each other, one JSON line per layer shape and pass, then totals.

    python benchmarks/convolution.py --height 64 --width 64 [--ch 32] [--batch 5] [--form direct] [--rounds 5]
        [--share 0.02] [--dtype float32] [--inner 1] [--out FILE]

The layers are those that the real networks call. `plain` and `--form` are timed in turn, round by round: ratios
are of paired runs. Forward, gradient by the input and gradient by the weights are compiled separately. Layers
with less than `--share` of the multiplications of their network are left out. On an accelerator, `--inner 20`
sends so many calls before waiting. `cpu_ms` (the process's time on all cores) stays comparable on a shared
machine.
"""

import argparse
import collections
import statistics
import time

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from measure import device_name, emit

from siv_jax.models.siv_gan.config import ModelConfig
from siv_jax.models.siv_gan.discriminator import Discriminator
from siv_jax.nn import convolution
from siv_jax.nn.two_branch.blocks import Conv
from siv_jax.nn.two_branch.generator import Generator
from siv_jax.nn.two_branch.plan import Plan, make_plan

PASSES = ("forward", "input", "weight")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--height", type=int, default=64)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--ch", type=int, default=32)
    parser.add_argument("--batch", type=int, default=5)
    parser.add_argument("--form", default=convolution.chosen_form(), choices=convolution.FORMS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--share", type=float, default=0.02)
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--inner", type=int, default=1)
    parser.add_argument("--out", default="")
    given = parser.parse_args()
    model = ModelConfig(ch_g=given.ch, ch_d=given.ch)
    plan = make_plan(given.height, given.width, 3, max(given.height, given.width), model)
    about = {"benchmark": "convolution", "device": device_name(), "jax": jax.__version__, "form": given.form}
    about |= {"height": plan.height, "width": plan.width, "batch": given.batch, "dtype": given.dtype}
    totals = collections.defaultdict(lambda: collections.Counter())
    for network, layers in (("G", generator_layers(plan, model)), ("D", discriminator_layers(plan, model))):
        work = {layer: count * multiplications(*layer) for layer, count in layers.items()}
        for layer, amount in work.items():
            if amount < given.share * sum(work.values()):
                continue
            for name in PASSES:
                times = measure(layer, name, given)
                labels = {"network": network, "layer": layer[0], "input": layer[1], "kernel": layer[2]}
                emit(about | labels | {"count": layers[layer], "pass": name} | times, given.out)
                for key in ("plain_ms", "ms", "plain_cpu_ms", "cpu_ms"):
                    totals[network, name][key] += layers[layer] * times[key]
    for (network, name), sums in totals.items():
        ratio = {"plain_over_form": round(sums["plain_ms"] / sums["ms"], 2)}
        ratio["cpu_plain_over_form"] = round(sums["plain_cpu_ms"] / sums["cpu_ms"], 2)
        rounded = {key: round(value, 1) for key, value in sums.items()}
        emit(about | {"network": network, "total_of": name} | rounded | ratio, given.out)


def generator_layers(plan: Plan, model: ModelConfig) -> collections.Counter:
    """How often (operation, input height, width and channels, kernel shape) occurs; 1x1 kernels left out."""
    return recorded(Generator(plan, model), jnp.zeros((1, model.noise_dim)))


def discriminator_layers(plan: Plan, model: ModelConfig) -> collections.Counter:
    """As `generator_layers`."""
    scales = range(plan.num_blocks_low_level - 1, -1, -1)
    images = [jnp.zeros((1, plan.height >> i, plan.width >> i, plan.channels)) for i in scales]
    return recorded(Discriminator(plan, model), images)


def recorded(network: nn.Module, inputs) -> collections.Counter:
    seen = collections.Counter()

    def record(call, args, keywords, context):
        if isinstance(context.module, Conv) and context.module.kernel_size == 3:
            shape = args[0].shape
            kernel = (3, 3, shape[-1], context.module.features)
            seen[context.module.operation.__name__, shape[1:], kernel] += 1
        return call(*args, **keywords)

    with nn.intercept_methods(record):
        jax.eval_shape(network.init, jax.random.key(0), inputs)
    return seen


def multiplications(operation: str, shape: tuple[int, ...], kernel: tuple[int, ...]) -> int:
    """Of one sample in the plain form."""
    places = shape[0] * shape[1] * (4 if operation == "upsample_conv2d" else 1)
    return places * 9 * kernel[2] * kernel[3]


def measure(layer, name: str, given: argparse.Namespace) -> dict:
    """Medians over the rounds of each form's milliseconds, and of the ratio within a round."""
    operation = getattr(convolution, layer[0])
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.standard_normal((given.batch, *layer[1])), given.dtype)
    kernel = jnp.asarray(0.02 * rng.standard_normal(layer[2]), given.dtype)
    result = jax.eval_shape(operation, x, kernel).shape
    cotangent = jnp.asarray(rng.standard_normal(result), given.dtype)
    programs = [compiled(operation, form, name, x, kernel, cotangent) for form in ("plain", given.form)]
    for program in programs:
        jax.block_until_ready(program(x, kernel, cotangent))
    rounds = [
        [timed(program, (x, kernel, cotangent), given.inner) for program in programs] for _ in range(given.rounds)
    ]
    (plain, plain_cpu), (ours, ours_cpu) = (np.median([row[i] for row in rounds], axis=0) for i in (0, 1))
    work = 2 * given.batch * multiplications(*layer)
    return {
        "plain_ms": round(plain, 3),
        "ms": round(ours, 3),
        "plain_cpu_ms": round(plain_cpu, 3),
        "cpu_ms": round(ours_cpu, 3),
        "plain_over_form": round(statistics.median(row[0][0] / row[1][0] for row in rounds), 2),
        "plain_gflop": round(work / 1e9, 3),
        "gflops": round(work / ours / 1e6, 1),
    }


def compiled(operation, form: str, name: str, x, kernel, cotangent):
    """One pass of `operation` as a program of (x, kernel, cotangent)."""

    def run(x, kernel, cotangent):
        if name == "forward":
            return operation(x, kernel)
        by_input = name == "input"
        pull = jax.vjp(lambda a: operation(a, kernel) if by_input else operation(x, a), x if by_input else kernel)
        return pull[1](cotangent)[0]

    with convolution.forced_form(form):
        return jax.jit(run).lower(x, kernel, cotangent).compile()


def timed(program, arguments, inner: int) -> tuple[float, float]:
    """Milliseconds of one call, and of the process on all cores."""
    begun, begun_cpu = time.perf_counter(), time.process_time()
    jax.block_until_ready([program(*arguments) for _ in range(inner)])
    return 1e3 * (time.perf_counter() - begun) / inner, 1e3 * (time.process_time() - begun_cpu) / inner


if __name__ == "__main__":
    main()
