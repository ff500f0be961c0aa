"""From the shape of the pictures to the shapes of the networks."""

import dataclasses

from siv_jax.models.fastgan.config import ModelConfig

_START = 4  # cells of the longer side of the first map
_SHORTEST_START = 2  # with 1 the discriminator's last map would be smaller than its last kernel
_SMALL_SIZE = 128  # the second image's longer side, and that of what the decoders make, at most

# Channels of maps by their longer side, for a width of 64.
_GENERATOR = {4: 1024, 8: 512, 16: 256, 32: 128, 64: 128, 128: 64, 256: 32, 512: 16, 1024: 8}
_DISCRIMINATOR = _GENERATOR | {8: 1024, 16: 512, 32: 256}


@dataclasses.dataclass(frozen=True)
class Plan:
    """Shapes of one model. `height` and `width` are the training resolution in pixels.

    start_height, start_width: of the generator's first map; the longer is 4, as run both are.
    """

    height: int
    width: int
    channels: int
    start_height: int
    start_width: int

    @property
    def size(self) -> int:
        """The longer side: im_size of the original. Maps are named by their longer side in the same way."""
        return max(self.height, self.width)

    @property
    def small_size(self) -> int:
        """Of the second image that both networks see: 128 as run, half of a size under 256."""
        return min(_SMALL_SIZE, self.size // 2)

    @property
    def decoded_size(self) -> int:
        """Of what the discriminator's decoders make: 128 as run, 64 at a size of 64."""
        return min(_SMALL_SIZE, self.size)

    @property
    def sides(self) -> list[int]:
        """Of the generator's maps: 4, 8, ..., size."""
        return [2**power for power in range(2, self.size.bit_length())]

    def shape(self, size: int) -> tuple[int, int]:
        """(height, width) of a map of this size."""
        return size // _START * self.start_height, size // _START * self.start_width

    @property
    def noise_shapes(self) -> list[tuple[int, int]]:
        """(height, width) of the maps that noise is added to, in order."""
        return [self.shape(side) for side in self.sides if is_composite(side) for _ in range(2)]

    @property
    def num_logits(self) -> int:
        """Of a sample: places of a 4x4 kernel in two maps of size 8."""
        height, width = self.shape(8)
        return 2 * (height - 3) * (width - 3)


def is_composite(side: int) -> bool:
    """Whether the generator's block that makes maps of this size has two convolutions and noise: 8, 32, 128, 512."""
    return side.bit_length() % 2 == 0


def generator_width(side: int, model: ModelConfig) -> int:
    """Channels of the generator's map of this size; rounded down as run, but at least 1."""
    return max(1, _GENERATOR[side] * model.ch_g // 64)


def discriminator_width(side: int, model: ModelConfig) -> int:
    """Channels of a map of the discriminator, rounded as `generator_width`.

    `side` is not the map's own but twice it, and four times it where the small image is seen: see Discriminator.
    """
    return max(1, _DISCRIMINATOR[side] * model.ch_d // 64)


def make_plan(height: int, width: int, channels: int, size: int) -> Plan:
    """The plan for pictures of `height` x `width` pixels whose longer side becomes `size`, a power of two.

    As run every picture becomes a square. Here the first map has 4 cells on the longer side and 2, 3 or 4 on the
    other, whichever fits the picture best; samples are brought back to its shape.
    """
    longer, shorter = max(height, width), min(height, width)
    cells = max(_SHORTEST_START, round(_START * shorter / longer))
    start_height, start_width = (cells, _START) if height < width else (_START, cells)
    return Plan(
        height=size // _START * start_height,
        width=size // _START * start_width,
        channels=channels,
        start_height=start_height,
        start_width=start_width,
    )
