"""How much memory training takes, known before anything is compiled.

The numbers are fitted to XLA's own figures for compiled steps; benchmarks/memory.py compares the two.
"""

from siv_jax.config import Config
from siv_jax.nn.two_branch.plan import Plan

# float32 values that a step holds at its peak per pixel of the batch and unit of ch, and copies of the weights
# (moments, average, gradients, normalised weights).
_VALUES_PER_PIXEL_G = 11.5
_VALUES_PER_PIXEL_D = 11.5
_COPIES_OF_WEIGHTS = 8


def estimate(config: Config, plan: Plan, num_frames: int, num_weights: int, shards: int = 1) -> int:
    """Bytes on each device: frames, weights in all their copies, and activations.

    Counted in float32; bfloat16 arithmetic takes less.

    Args:
      num_weights: of both networks together.
    """
    pixels = plan.height * plan.width * -(-config.batch_size // shards)
    per_pixel = _VALUES_PER_PIXEL_G * config.model.ch_g + _VALUES_PER_PIXEL_D * config.model.ch_d
    frames = num_frames * plan.height * plan.width * plan.channels * 4
    return int(4 * (num_weights * _COPIES_OF_WEIGHTS + pixels * per_pixel)) + frames
