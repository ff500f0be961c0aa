"""How much memory training takes, known before anything is compiled.

Counted from the maps that gradients need; benchmarks/config_step.py compares the result with XLA's own figure.
"""

import functools

from siv_jax.models.fastgan import network
from siv_jax.models.fastgan.config import Config, ModelConfig
from siv_jax.models.fastgan.discriminator import decoder_widths
from siv_jax.models.fastgan.plan import Plan, discriminator_width, generator_width, is_composite
from siv_jax.nn import flat

# Values kept for each channel and pixel of a map that a convolution, batch norm and GLU make (of twice the channels),
# and of one that the two paths of a DownBlock make.
_GATED, _DOWN = 5, 8
# Values that LPIPS keeps for each pixel of what is decoded: features of three images with gradients, of two without.
_LPIPS = 3200
# Copies of the weights: moments, average, gradients, normalized weights.
_COPIES_OF_WEIGHTS = 12


def estimate(config: Config, plan: Plan, num_frames: int, shards: int = 1) -> int:
    """Bytes on each device: pictures, weights in all their copies, activations. Counted in float32."""
    pixels = plan.height * plan.width
    batch = -(-config.batch_size // shards)
    values = pixels * batch * (_per_pixel(plan, config.model) + _of_decoders(plan, config))
    weights = sum(parameters(plan, config.model)) * _COPIES_OF_WEIGHTS
    return int(4 * (values + weights)) + num_frames * pixels * plan.channels * 4


def _per_pixel(plan: Plan, model: ModelConfig) -> float:
    """Values kept of the generator's pass and of the discriminator's two, for a pixel of the image."""
    generator = sum(
        _share(plan, side) * generator_width(side, model) * _GATED * (2 if is_composite(side) else 1)
        for side in plan.sides
    )
    discriminator = sum(_share(plan, side) * discriminator_width(2 * side, model) * _DOWN for side in plan.sides[1:-1])
    return generator + 2 * discriminator


def _of_decoders(plan: Plan, config: Config) -> float:
    """Values kept of three decoders and of what compares them, for a pixel of the image."""
    widths = decoder_widths(plan, config.model)
    sides = [plan.decoded_size >> i for i in reversed(range(len(widths)))]
    values = 3 * sum(_share(plan, side) * width * _GATED for side, width in zip(sides, widths, strict=True))
    return values + (_LPIPS * _share(plan, plan.decoded_size) if config.loss.reconstruction == "lpips" else 0)


def _share(plan: Plan, side: int) -> float:
    """Pixels of a map of this size for a pixel of the image."""
    return (side / plan.size) ** 2


@functools.cache  # tracing the networks takes a while
def parameters(plan: Plan, model: ModelConfig) -> tuple[int, int]:
    """Numbers of parameters of the generator and the discriminator."""
    return tuple(flat.size(make(plan, model).shapes) for make in (network.generator, network.discriminator))
