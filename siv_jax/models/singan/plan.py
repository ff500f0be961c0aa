"""The scales of a picture's pyramid, counted from the coarsest."""

import dataclasses
import math

from siv_jax.errors import UserError
from siv_jax.models.singan.config import Config
from siv_jax.nn.pyramid_resize import scaled_size

Size = tuple[int, int]  # height, width

SCALES_OF_A_WIDTH = 4
REACH = 5  # pixels that the five unpadded convolutions take off each side
MOST_SCALES = 24


@dataclasses.dataclass(frozen=True)
class Plan:
    """A pyramid.

    height, width, channels: of the finest scale.
    picture_factor: what the picture is scaled by first.
    factor: each scale is the picture scaled by a power of it.
    sizes: (height, width) of every scale.
    widths: channels of the networks of every scale.
    """

    height: int
    width: int
    channels: int
    picture_factor: float
    factor: float
    sizes: tuple[Size, ...]
    widths: tuple[int, ...]

    @property
    def finest(self) -> int:
        """Number of the finest scale."""
        return len(self.sizes) - 1


def make_plan(height: int, width: int, channels: int, config: Config) -> Plan:
    """The plan of a picture.

    Raises:
      UserError: it is too small, or gives too many scales.
    """
    model, longest = config.model, config.data.max_size
    share, rounded = model.scale_factor, math.ceil
    if model.upscale:  # as run, both counts are then rounded down
        share, rounded = 1 / enlarging_step(model.upscale), int
    shorter, longer = min(height, width), max(height, width)
    scales = rounded(math.log(model.min_size / shorter) / math.log(share)) + 1
    spared = rounded(math.log(min(longest, longer) / longer) / math.log(share))
    finest, picture_factor = scales - spared, min(longest / longer, 1.0)
    picture = scaled_size(height, width, picture_factor)
    if finest < 1 or min(picture) <= model.min_size:
        raise UserError(
            f"a picture of {width}x{height} (width x height), at data.max_size {longest} {picture[1]}x{picture[0]}, "
            f"has no side left to shrink to model.min_size {model.min_size}: use a larger picture or data.max_size, or "
            "a smaller min_size"
        )
    if finest >= MOST_SCALES:
        raise UserError(
            f"model.scale_factor {share:.3f} gives {finest + 1} scales, more than {MOST_SCALES}: set a smaller one"
        )
    factor = math.pow(model.min_size / min(picture), 1 / finest)
    sizes = [scaled_size(*picture, math.pow(factor, finest - i)) for i in range(finest + 1)]
    widths = [min(model.width * 2 ** (i // SCALES_OF_A_WIDTH), model.max_width) for i in range(finest + 1)]
    return Plan(*sizes[-1], channels, picture_factor, factor, tuple(sizes), tuple(widths))


def enlarging_steps(factor: float) -> int:
    """Steps in which a picture is enlarged by `factor`: each about the cube root of 2."""
    return max(1, round(math.log(factor) / math.log(math.pow(2, 1 / 3))))


def enlarging_step(factor: float) -> float:
    """Factor of each of them."""
    return math.pow(factor, 1 / enlarging_steps(factor))
