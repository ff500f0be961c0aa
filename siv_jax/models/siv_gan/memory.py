"""How much memory training takes, known before anything is compiled.

The numbers are fitted to XLA's own figures for compiled steps; benchmarks/memory.py compares the two.
"""

import functools

from siv_jax.models.siv_gan import network
from siv_jax.models.siv_gan.config import Config, ModelConfig
from siv_jax.models.siv_gan.plan import Plan
from siv_jax.nn import flat

# float32 values that a step holds at its peak per pixel of the batch and unit of ch, and copies of the weights
# (moments, average, gradients, normalised weights).
_VALUES_PER_PIXEL_G = 11.5
_VALUES_PER_PIXEL_D = 11.5
_COPIES_OF_WEIGHTS = 8


def estimate(config: Config, plan: Plan, num_frames: int, shards: int = 1) -> int:
    """Bytes on each device: frames, weights in all their copies, and activations.

    Counted in float32; bfloat16 arithmetic takes less.
    """
    pixels = plan.height * plan.width * -(-config.batch_size // shards)
    per_pixel = _VALUES_PER_PIXEL_G * config.model.ch_g + _VALUES_PER_PIXEL_D * config.model.ch_d
    frames = num_frames * plan.height * plan.width * plan.channels * 4
    return int(4 * (_weights(plan, config.model) * _COPIES_OF_WEIGHTS + pixels * per_pixel)) + frames


@functools.cache  # many values of data.max_size have one plan, and tracing the networks takes a while
def _weights(plan: Plan, model: ModelConfig) -> int:
    return sum(flat.size(make(plan, model).shapes) for make in (network.generator, network.discriminator))
