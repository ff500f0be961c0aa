"""From the size of a picture to the sizes of its model: of crops, of what they become, and of the discriminators."""

import dataclasses
import math

from siv_jax.data.resize import limited
from siv_jax.errors import UserError
from siv_jax.models.ingan.config import Config

# Smaller outputs have no scale left for a discriminator (as run they crash), smaller crops no composition.
SMALLEST_OUTPUT, SMALLEST_CROP = 16, 24
# A scale of the discriminator is used where the picture's shorter side is at least so large there.
SMALLEST_SEEN = 13
_SMALLEST_CROP_SEEN = 16


@dataclasses.dataclass(frozen=True)
class Plan:
    """Sizes of one model, in pixels. `height` and `width` are the picture's at which it is trained.

    multiple: sides of everything that the generator makes are multiples of this.
    crop_height, crop_width: of the crops.
    num_nets_d: discriminators.
    canvas_heights, canvas_widths: rising. An output is computed on the smallest canvas that holds it, so that steps
      have few shapes; the last ones hold the largest outputs.
    """

    height: int
    width: int
    channels: int
    multiple: int
    crop_height: int
    crop_width: int
    num_nets_d: int
    canvas_heights: tuple[int, ...]
    canvas_widths: tuple[int, ...]


def make_plan(height: int, width: int, channels: int, config: Config) -> Plan:
    """The plan for pictures of `height` x `width` pixels.

    The longer side is scaled down to data.max_size and both are rounded to multiples of 8, or of what the generator
    needs (as run what is left over is cut off). A crop has transform.crop pixels a side; a shorter side of the picture
    is cropped in full.

    Raises:
      UserError: a side too small for any crop.
    """
    multiple = 2**config.model.num_downscales_g
    scaled = limited((height, width), config.data.max_size)
    height, width = (round(side / multiple) * multiple for side in scaled)
    smallest = max(SMALLEST_CROP, 2 * multiple)
    if min(height, width, config.transform.crop) < smallest:
        raise UserError(
            f"a picture of {scaled[1]}x{scaled[0]} (width x height, after data.max_size {config.data.max_size}) or "
            f"transform.crop {config.transform.crop} is too small: both need {smallest} pixels a side or more"
        )
    crop_height, crop_width = (min(config.transform.crop, side) // multiple * multiple for side in (height, width))
    nets = scales_seen(min(crop_height, crop_width), config.model.scale_factor_d, _SMALLEST_CROP_SEEN)
    return Plan(
        height=height,
        width=width,
        channels=channels,
        multiple=multiple,
        crop_height=crop_height,
        crop_width=crop_width,
        num_nets_d=min(nets, config.model.max_nets_d),
        canvas_heights=_canvases(crop_height, config),
        canvas_widths=_canvases(crop_width, config),
    )


def scales_seen(side: int, factor: float, smallest: int = SMALLEST_SEEN) -> int:
    """How many scales of the discriminator a picture of this shorter side has: ceil(log(side / smallest))."""
    return max(1, math.ceil(math.log(side / smallest) / math.log(factor)))


def output_side(side: float, multiple: int) -> int:
    """The side of an output that is to have `side` pixels: rounded up to a multiple; none is under 16."""
    return max(math.ceil(SMALLEST_OUTPUT / multiple), math.ceil(side / multiple)) * multiple


def _canvases(crop: int, config: Config) -> tuple[int, ...]:
    """Equal steps up to the largest output; the crop's side and the next one, which are all there is at first."""
    multiple, count = 2**config.model.num_downscales_g, config.transform.canvases
    largest = output_side(crop * config.transform.max_scale, multiple)
    if count == 1:
        return (largest,)
    sides = {output_side(largest * (i + 1) / count, multiple) for i in range(count)}
    return tuple(sorted(sides | {crop, min(crop + multiple, largest)}))
