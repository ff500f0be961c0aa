"""From the size of a picture to the size of its model (the resolution plan)."""

import dataclasses

from siv_jax.config import Config
from siv_jax.errors import UserError
from siv_jax.nn import shared_batch
from siv_jax.nn.two_branch.settings import ModelConfig

# Sides that the paper's plans fit. Smaller pictures, which only rendering makes worth training, take four generator
# blocks and cells of 8 pixels.
SMALLEST_PAPER_SIDE, LARGEST_SIDE = 48, 1792
SMALLEST_SIDE, SMALLEST_SCALED_SIDE = 16, 24

# Generator blocks -> (discriminator blocks N_D, of these low-level N_ll).
_DISCRIMINATOR_BLOCKS = {4: (4, 2), 5: (6, 2), 6: (7, 3), 7: (7, 3), 8: (7, 4), 9: (8, 4)}


@dataclasses.dataclass(frozen=True)
class Plan:
    """Shapes of one model. `height` and `width` are the training resolution in pixels."""

    height: int
    width: int
    channels: int
    noise_height: int
    noise_width: int
    num_blocks_g: int
    num_blocks_d: int
    num_blocks_low_level: int


def make_plan(height: int, width: int, channels: int, max_size: int, model: ModelConfig) -> Plan:
    """The plan for pictures of `height` x `width` pixels and `channels` channels.

    The longer side is scaled down to `max_size`; then the generator has the fewest blocks g by which both
    sides have fitted 3 to 7 noise cells of 2^(g-1) pixels at some g' <= g (as run).

    Raises:
      UserError: a side that no plan fits, or block counts in `model` that do not go together.
    """
    height, width = scaled_size(height, width, max_size)
    num_blocks_g = model.num_blocks_g or _generator_blocks(height, width)
    if num_blocks_g < 4:
        raise UserError(f"model.num_blocks_g is {num_blocks_g}; it can be 4 to 9, or 0 for the picture's own")
    cell = 2 ** (num_blocks_g - 1)
    # As run a side far shorter than the other rounds to no noise at all and crashes; here it keeps one cell.
    noise_height, noise_width = max(1, round(height / cell)), max(1, round(width / cell))
    num_blocks_d, num_blocks_low_level = _discriminator_blocks(num_blocks_g, model)
    return Plan(
        height=noise_height * cell,
        width=noise_width * cell,
        channels=channels,
        noise_height=noise_height,
        noise_width=noise_width,
        num_blocks_g=num_blocks_g,
        num_blocks_d=num_blocks_d,
        num_blocks_low_level=num_blocks_low_level,
    )


def scaled_size(height: int, width: int, max_size: int) -> tuple[int, int]:
    """(height, width) after the longer side is brought down to `max_size`, truncated to integers (as run).

    As run an elongated picture fails where this leaves its shorter side under 48 pixels; here the scaling stops
    at 48, as long as the longer side stays within twice `max_size`; for a `max_size` under 48 it stops at 24.
    """
    longer, shorter = max(height, width), min(height, width)
    if longer <= max_size:
        return height, width
    small = max_size < SMALLEST_PAPER_SIDE
    least = min(max_size, SMALLEST_SCALED_SIDE) if small else SMALLEST_PAPER_SIDE
    if shorter >= least > shorter * max_size // longer:
        smallest = -(-longer * least // shorter)
        if smallest > (10 if small else 2) * max_size:
            raise UserError(
                f"a picture of {width}x{height} (width x height) at data.max_size {max_size} has a side of "
                f"{shorter * max_size // longer} pixels, under the {least} that a plan needs: set "
                f"data.max_size to {smallest} or more, or crop the picture"
            )
        max_size = smallest
    return height * max_size // longer, width * max_size // longer


def _generator_blocks(height: int, width: int) -> int:
    if min(height, width) < SMALLEST_SIDE or max(height, width) > LARGEST_SIDE:
        raise UserError(
            f"a picture of {width}x{height} (width x height, after data.max_size) fits no plan: "
            f"both sides must lie between {SMALLEST_SIDE} and {LARGEST_SIDE} pixels"
            + ("; use a larger picture" if min(height, width) < SMALLEST_SIDE else "")
        )
    if min(height, width) < SMALLEST_PAPER_SIDE:
        return 4
    fitted = {"height": False, "width": False}
    for num_blocks in range(5, 10):
        cell = 2 ** (num_blocks - 1)
        fitted["height"] |= 3 <= height / cell <= 7
        fitted["width"] |= 3 <= width / cell <= 7
        if all(fitted.values()):
            return num_blocks
    raise AssertionError(f"{height}x{width} lies in range and must fit")


def _discriminator_blocks(num_blocks_g: int, model: ModelConfig) -> tuple[int, int]:
    planned_d, planned_low_level = _DISCRIMINATOR_BLOCKS[num_blocks_g]
    num_blocks_d = model.num_blocks_d or planned_d
    num_blocks_low_level = model.num_blocks_low_level or min(planned_low_level, num_blocks_d - 1)
    if not 1 <= num_blocks_low_level < num_blocks_d:
        raise UserError(
            f"model.num_blocks_low_level is {num_blocks_low_level} of model.num_blocks_d {num_blocks_d}; "
            "it must leave at least one block to the branches"
        )
    if num_blocks_low_level > num_blocks_g:
        raise UserError(
            f"model.num_blocks_low_level is {num_blocks_low_level}, but a generator of {num_blocks_g} blocks "
            "makes images at only as many scales"
        )
    return num_blocks_d, num_blocks_low_level


def require_equal_shares(config: Config, shards: int) -> None:
    """Checks that the batch can be shared out over so many devices.

    Raises:
      UserError: it does not divide, or leaves each a single sample where pairs are compared.
    """
    batch, fewest = config.batch_size, 1 if config.loss.diversity in ("none", "zcr") else 2
    shared_batch.require_equal_shares(batch, shards, fewest)
    if batch // shards < fewest:
        raise UserError(
            f"batch_size {batch} leaves 1 sample to each of {shards} devices, and loss.diversity "
            f"{config.loss.diversity} compares pairs: take {fewest * shards}; or use fewer devices with --devices"
        )
