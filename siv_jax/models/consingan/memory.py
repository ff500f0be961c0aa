"""How much memory training takes, known before anything is compiled.

The numbers are fitted to XLA's own figures for compiled steps.
"""

from siv_jax.models.consingan import parts
from siv_jax.models.consingan.config import Config
from siv_jax.models.consingan.plan import Plan

# float32 values that a step holds at its peak per pixel of the trained stages and channel of the features; copies of
# the weights (moments, gradients).
_VALUES_PER_PIXEL = 30
_COPIES_OF_WEIGHTS = 6


def estimate(config: Config, plan: Plan, num_frames: int, shards: int = 1) -> int:
    """Bytes at the last stage: frames, weights, noises and activations."""
    model = config.model
    pixels = sum(height * width for height, width in plan.sizes)
    frames = num_frames * plan.channels * (plan.height * plan.width + plan.sizes[0][0] * plan.sizes[0][1])
    weights = sum(parts.parameters(plan, model)) * _COPIES_OF_WEIGHTS
    return 4 * (pixels * model.width * _VALUES_PER_PIXEL + weights + frames)
