"""How much memory training takes, known before anything is compiled.

The numbers are fitted to XLA's own figures for compiled steps; benchmarks/ingan_step.py compares the two.
"""

import functools

import jax

from siv_jax.models.ingan import network
from siv_jax.models.ingan.config import Config, ModelConfig
from siv_jax.models.ingan.plan import Plan
from siv_jax.models.interface import PROGRAMS_KEPT
from siv_jax.nn import flat

# float32 values that a step holds at its peak for each channel and pixel, of the largest output and of the crop, and
# copies of the weights (moments, gradients, normalised weights).
_VALUES_OF_OUTPUT = 38
_VALUES_OF_CROP = 24
_COPIES_OF_WEIGHTS = 8
# Bytes that a compiled step takes itself on a CPU.
_PROGRAM = 130_000_000


def estimate(config: Config, plan: Plan, num_frames: int, shards: int = 1) -> int:
    """Bytes on each device: what `of_arrays` says, and on a CPU the compiled steps of all shapes."""
    shapes = 2 * len(plan.canvas_heights) * len(plan.canvas_widths)  # with the generator's extra turn and without
    programs = min(shapes, PROGRAMS_KEPT) if jax.default_backend() == "cpu" else 0
    return of_arrays(config, plan, num_frames, shards) + programs * _PROGRAM


def of_arrays(config: Config, plan: Plan, num_frames: int, shards: int = 1) -> int:
    """Bytes on each device: pictures, weights in all their copies, and activations of the largest output."""
    batch = -(-config.batch_size // shards)
    output = plan.canvas_heights[-1] * plan.canvas_widths[-1]
    values = _VALUES_OF_OUTPUT * output + _VALUES_OF_CROP * plan.crop_height * plan.crop_width
    activations = batch * values * max(config.model.ch_g, config.model.ch_d)
    pictures = 2 * num_frames * plan.height * plan.width * plan.channels * 4
    return 4 * (_weights(plan, config.model) * _COPIES_OF_WEIGHTS + activations) + pictures


@functools.cache  # many values of data.max_size have one plan
def _weights(plan: Plan, model: ModelConfig) -> int:
    return sum(flat.size(make(plan, model).shapes) for make in (network.of_generator, network.of_discriminator))
