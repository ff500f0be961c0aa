"""How much memory training takes, known before anything is compiled.

The numbers are fitted to XLA's own figures for compiled steps, as benchmarks/pyramid_step.py prints them.
"""

from siv_jax.models.consingan import parts
from siv_jax.models.consingan.config import Config
from siv_jax.models.consingan.plan import Plan

# float32 values that a step holds at its peak per pixel of all stages and channel of the features: of the
# reconstruction, and of each sample; copies of the weights (moments, gradients).
_VALUES_PER_PIXEL, _VALUES_OF_SAMPLE = 8, 20
_COPIES_OF_WEIGHTS = 6


def estimate(config: Config, plan: Plan, num_frames: int, shards: int = 1) -> int:
    """Bytes on each device at the last stage: frames, weights, noises and activations."""
    model, values = config.model, _VALUES_PER_PIXEL + _VALUES_OF_SAMPLE * -(-config.batch_size // shards)
    pixels = sum(height * width for height, width in plan.sizes)
    frames = num_frames * plan.channels * (plan.height * plan.width + plan.sizes[0][0] * plan.sizes[0][1])
    weights = sum(parts.parameters(plan, model)) * _COPIES_OF_WEIGHTS
    return 4 * (pixels * model.width * values + weights + frames)
