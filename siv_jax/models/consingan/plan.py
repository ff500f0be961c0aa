"""From the size of a picture to the sizes of all stages (paper, Sec. 3.2, as run)."""

import dataclasses
import math

from siv_jax.errors import UserError
from siv_jax.models.consingan.config import ModelConfig
from siv_jax.nn import pyramid_resize

Size = tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Plan:
    """Shapes of one model.

    height, width: of the last stage's pictures, in pixels.
    first_factor: by which the source is scaled to them.
    factors: by which they are scaled to those of the stages before, coarse to fine.
    sizes: (height, width) of each stage's pictures.
    """

    height: int
    width: int
    channels: int
    first_factor: float
    factors: tuple[float, ...]
    sizes: tuple[Size, ...]

    @property
    def num_stages(self) -> int:
        return len(self.sizes)


def make_plan(height: int, width: int, channels: int, max_size: int, model: ModelConfig) -> Plan:
    """The plan for pictures of `height` x `width` pixels and `channels` channels.

    Raises:
      UserError: the shorter side, after data.max_size, is not above model.min_size.
    """
    first_factor = min(max_size / max(height, width), 1)
    last = pyramid_resize.scaled_size(height, width, first_factor)
    if min(last) <= model.min_size:
        larger = " or a larger data.max_size" if first_factor < 1 else ""
        raise UserError(
            f"a picture of {width}x{height} (width x height) has a shorter side of {min(last)} pixels at the last "
            f"stage, which must be above model.min_size {model.min_size}: use a larger picture{larger}, or a smaller "
            "model.min_size"
        )
    steps = model.num_stages - 1
    ratio = (model.min_size / min(last)) ** (1 / steps)
    factors = tuple(ratio ** _exponent(stage, steps, model.mode) for stage in range(steps))
    sizes = (*(pyramid_resize.scaled_size(*last, factor) for factor in factors), last)
    return Plan(*last, channels, first_factor, factors, sizes)


def _exponent(stage: int, steps: int, mode: str) -> float:
    """Of the ratio, from `steps` at stage 0 to 1 at the last but one: more small stages than in equal steps."""
    if mode == "harmonization" or steps == 1:
        return steps - stage
    return (steps - 1) / math.log(steps) * math.log(steps - stage) + 1
