"""How much memory training takes, known before anything is compiled.

The numbers are fitted to XLA's own figures for compiled steps, as benchmarks/pyramid_step.py prints them.
"""

from siv_jax.models.singan.config import Config
from siv_jax.models.singan.plan import Plan

# float32 values that a step holds at its peak for each pixel and channel of the networks of the finest scale: of the
# reconstruction, and of each sample; copies of the weights (moments, gradients).
_VALUES_PER_PIXEL, _VALUES_OF_SAMPLE = 12, 28
_COPIES_OF_WEIGHTS = 3


def estimate(config: Config, plan: Plan, num_frames: int, shards: int = 1) -> int:
    """Bytes on each device at the finest scale, which takes most."""
    width, batch = plan.widths[-1], -(-config.batch_size // shards)
    activations = (_VALUES_PER_PIXEL + _VALUES_OF_SAMPLE * batch) * plan.height * plan.width * width
    weights = _COPIES_OF_WEIGHTS * sum(2 * 9 * 3 * width * (width + plan.channels) for width in plan.widths)
    frames = 2 * num_frames * plan.height * plan.width * plan.channels  # with their reconstructions
    return 4 * (activations + weights + frames)
