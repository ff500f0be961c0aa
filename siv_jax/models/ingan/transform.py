"""The random transform of a training step: a range that grows, and a size and shape drawn from it."""

import jax
import jax.numpy as jnp
from flax import struct

from siv_jax.models.ingan.config import TransformConfig
from siv_jax.models.ingan.plan import Plan, output_side


@struct.dataclass
class Transform:
    """What a step makes of its crops."""

    height: jax.Array  # int32 [], of the output, a multiple of the plan's `multiple`
    width: jax.Array
    shifts: jax.Array | None  # float32 [2]; None where the config has no shears or trapezoids

    @property
    def extent(self) -> tuple[jax.Array, jax.Array]:
        return self.height, self.width


def ranges(step: jax.Array | int, config: TransformConfig) -> tuple[jax.Array, jax.Array, jax.Array]:
    """(smallest scale, largest scale, largest shift) at this step: from (1, 1, 0) in a line to the config's."""
    grown = jnp.minimum(jnp.asarray(step, jnp.float32) / max(config.growth_steps, 1), 1.0)
    grown = grown if config.growth_steps else jnp.float32(1)
    return (
        1 + (config.min_scale - 1) * grown,
        1 + (config.max_scale - 1) * grown,
        config.max_shift * grown,
    )


def drawn(
    uniform: jax.Array, step: jax.Array | int, plan: Plan, config: TransformConfig, canvas_size: tuple[int, int]
) -> Transform:
    """The transform of a step for four uniform numbers in [0, 1).

    Scales of height and width, and both shifts, are uniform in `ranges` and independent. Sides are rounded up to
    multiples; here none is under 16 pixels, where as run training crashes.

    Args:
      canvas_size: which the output must not exceed. It was chosen by the same function in another program, whose
        last bit may differ.
    """
    low, high, most = ranges(step, config)
    sides = []
    for share, crop, largest in zip(uniform[:2], (plan.crop_height, plan.crop_width), canvas_size, strict=True):
        side = jnp.ceil(crop * (low + (high - low) * share) / plan.multiple) * plan.multiple
        sides.append(jnp.clip(side.astype(jnp.int32), output_side(0, plan.multiple), largest))
    shifts = most * (2 * uniform[2:4] - 1) if config.max_shift else None
    return Transform(*sides, shifts)


def canvas_of(transform: Transform, plan: Plan) -> tuple[jax.Array, jax.Array]:
    """(height, width), int32 [], of the smallest of `canvases` that holds the output."""
    found = []
    for sides, side in ((plan.canvas_heights, transform.height), (plan.canvas_widths, transform.width)):
        table = jnp.array(sides, jnp.int32)
        found.append(table[jnp.sum(table[:-1] < side)])
    return found[0], found[1]


def canvases(plan: Plan) -> list[tuple[int, int]]:
    """Every (height, width) that outputs are computed on; the last is the largest."""
    return [(height, width) for height in plan.canvas_heights for width in plan.canvas_widths]


def smallest_output(plan: Plan, config: TransformConfig) -> tuple[int, int]:
    """(height, width) of the smallest output of training."""
    height, width = (
        output_side(crop * config.min_scale, plan.multiple) for crop in (plan.crop_height, plan.crop_width)
    )
    return height, width
