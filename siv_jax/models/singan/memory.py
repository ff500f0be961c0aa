"""How much memory training takes, known before anything is compiled.

The numbers are fitted to XLA's own figures for compiled steps, as benchmarks/pyramid_step.py prints them.
"""

from siv_jax.models.singan.config import Config
from siv_jax.models.singan.plan import Plan

# float32 values that a step holds at its peak for each pixel and channel of the networks of the finest scale: of the
# reconstruction, and of each sample. XLA unrolls the loop over a single turn, and then holds more.
_VALUES, _VALUES_OF_ONE_TURN = (12, 28), (25, 40)
_COPIES_OF_WEIGHTS = 3  # the moments; gradients come when the activations are gone


def estimate(config: Config, plan: Plan, num_frames: int, shards: int = 1) -> int:
    """Bytes on each device at the finest scale, which takes most."""
    width, batch = plan.widths[-1], -(-config.batch_size // shards)
    one_turn = 1 in (config.optim.turns_g, config.optim.turns_d)
    of_reconstruction, of_sample = _VALUES_OF_ONE_TURN if one_turn else _VALUES
    activations = (of_reconstruction + of_sample * batch) * plan.height * plan.width * width
    weights = _COPIES_OF_WEIGHTS * sum(2 * 9 * 3 * width * (width + plan.channels) for width in plan.widths)
    frames = 2 * num_frames * plan.height * plan.width * plan.channels  # with their reconstructions
    return 4 * (activations + weights + frames)
