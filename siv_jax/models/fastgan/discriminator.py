"""The discriminator: judges an image and a small one, and decodes what it has seen of them."""

import functools
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from siv_jax.models.fastgan.blocks import Conv, DownBlock, HalvingBlock, SkipExcitation, UpBlock
from siv_jax.models.fastgan.config import ModelConfig
from siv_jax.models.fastgan.plan import Plan, discriminator_width
from siv_jax.nn.activations import leaky_relu
from siv_jax.nn.batch_norm import BatchNorm
from siv_jax.nn.convolution import small_conv2d

_ENTRY = 256  # larger images are halved until they have this size
_LAST = 8  # size of the last map of both parts
# A map of side s excites the one of side s / _EXCITES: 256 -> 32, 128 -> 16, 64 -> 8 (as run; not in the paper).
_EXCITES = 8
# Channels of the decoders after each doubling, for a width of 64.
_DECODER_WIDTHS = (128, 64, 64, 32)


class Decoded(NamedTuple):
    """What the decoders made, float32 [B, h, w, channels] in (-1, 1) of the plan's decoded size.

    whole: from the large image's last map. small: from the small image's. part: of a quadrant of the large one.
    """

    whole: jax.Array
    small: jax.Array
    part: jax.Array


class Decoder(nn.Module):
    """A map of size 8 -> an image of the plan's decoded size."""

    plan: Plan
    model: ModelConfig
    axis_name: str | None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for i, width in enumerate(decoder_widths(self.plan, self.model)):
            x = UpBlock(width, self.axis_name, name=f"up_{i}")(x)
        return jnp.tanh(Conv(self.plan.channels, name="to_image")(x).astype(jnp.float32))


class Discriminator(nn.Module):
    """Images of two sizes -> logits and, of real ones, what the decoders make of them.

    dtype: of the arithmetic; parameters are float32.
    axis_name: see BatchNorm.
    """

    plan: Plan
    model: ModelConfig
    dtype: jnp.dtype = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self, image: jax.Array, small: jax.Array, quadrant: jax.Array | None = None
    ) -> tuple[jax.Array, Decoded | None]:
        """(logits float32 [B, plan.num_logits], decoded).

        Args:
          image: float32 [B, H, W, channels] in [-1, 1]. small: the same of the plan's small size.
          quadrant: int32 [], which quarter of the map of size 16 is decoded, see `quarter`; None: nothing is decoded.
        """
        maps = self._large(image.astype(self.dtype))
        last_small = self._small(small.astype(self.dtype))
        large = Conv(discriminator_width(8, self.model), 1, name="judge_conv")(maps[_LAST])
        large = leaky_relu(BatchNorm(self.axis_name, name="judge_norm")(large))
        logits = [
            Conv(1, 4, small_conv2d, name="judge")(large).reshape(len(image), -1),
            Conv(1, 4, small_conv2d, name="judge_small")(last_small).reshape(len(image), -1),
        ]
        decoded = None
        if quadrant is not None:
            seen = {"whole": maps[_LAST], "small": last_small, "part": quarter(maps[2 * _LAST], quadrant)}
            decoder = functools.partial(Decoder, self.plan, self.model, self.axis_name)
            decoded = Decoded(**{name: decoder(name=f"decode_{name}")(x) for name, x in seen.items()})
        return jnp.concatenate(logits, axis=1).astype(jnp.float32), decoded

    def _large(self, x: jax.Array) -> dict[int, jax.Array]:
        """Maps of sizes 256 (or the image's, if smaller) to 8.

        A map whose longer side is s has discriminator_width(2 * s) channels.
        """
        size, maps = self.plan.size, {}
        if size <= _ENTRY:
            x = leaky_relu(Conv(discriminator_width(2 * size, self.model), name="enter")(x))
        while size > _ENTRY:
            first, size = size == self.plan.size, size // 2
            width = discriminator_width(2 * size, self.model)
            x = HalvingBlock(width, self.axis_name, normalized=not first, name=f"enter_{size}")(x)
        maps[size] = x
        while size > _LAST:
            size //= 2
            x = DownBlock(discriminator_width(2 * size, self.model), self.axis_name, name=f"map_{size}")(x)
            if size * _EXCITES in maps:
                x = SkipExcitation(self.plan.shape(4), name=f"excite_{size}")(maps[size * _EXCITES], x)
            maps[size] = x
        return maps

    def _small(self, x: jax.Array) -> jax.Array:
        """The small image's map of size 8. A map whose longer side is s has discriminator_width(4 * s) channels."""
        size = self.plan.small_size
        while size > _LAST:
            first, size = size == self.plan.small_size, size // 2
            width = discriminator_width(4 * size, self.model)
            x = HalvingBlock(width, self.axis_name, normalized=not first, name=f"small_{size}")(x)
        return x


def decoder_widths(plan: Plan, model: ModelConfig) -> list[int]:
    """Channels of a decoder's maps, each twice the size of the one before, up to the plan's decoded size."""
    doublings = (plan.decoded_size // _LAST).bit_length() - 1
    return [max(1, width * model.ch_decoder // 64) for width in _DECODER_WIDTHS[-doublings:]]


def quarter(x: jax.Array, quadrant: jax.Array) -> jax.Array:
    """[B, H, W, C] -> [B, H / 2, W / 2, C]: quadrant 0 top left, 1 top right, 2 bottom left, 3 bottom right."""
    batch, height, width, channels = x.shape
    size = batch, height // 2, width // 2, channels
    zero = jnp.zeros_like(quadrant)
    return jax.lax.dynamic_slice(x, (zero, quadrant // 2 * size[1], quadrant % 2 * size[2], zero), size)
