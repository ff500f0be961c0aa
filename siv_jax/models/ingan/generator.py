"""The generator: a picture brought to another size and shape, and made natural there."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from siv_jax.models.ingan import canvas
from siv_jax.models.ingan.canvas import Extent
from siv_jax.models.ingan.layers import conv_norm, conv_shapes
from siv_jax.nn.activations import leaky_relu
from siv_jax.nn.convolution import conv2d_valid, max_pool2d, upsample_conv2d

_WIDE = 7  # side of the first and the last kernel
LAST = "to_image"  # the convolution that has no spectral norm


def shapes(width: int, num_downscales: int, num_blocks: int, channels: int) -> dict:
    """Parameters as a tree of `jax.ShapeDtypeStruct`, NHWC and HWIO.

    Convolutions before a batch normalization have no bias: it would be subtracted again at once (as run it is there,
    and only rounding noise moves it). All of "body" has spectral norm; the last convolution has none.
    """
    deepest = width << num_downscales
    body = {"entry": conv_shapes(_WIDE, channels, width)}
    for i in range(num_downscales):
        body[f"down_{i}"] = conv_shapes(3, width << i, width << (i + 1))
        body[f"up_{i}"] = conv_shapes(3, width << (i + 1), width << i)
    for i in range(num_blocks):
        body[f"block_{i}"] = {
            "narrow": conv_shapes(1, deepest, 2 * width),
            "middle": conv_shapes(3, 2 * width, 2 * width),
            "widen": conv_shapes(1, 2 * width, deepest),
        }
    last = {
        "kernel": jax.ShapeDtypeStruct((_WIDE, _WIDE, width, channels), np.float32),
        "bias": jax.ShapeDtypeStruct((channels,), np.float32),
    }
    return {"body": body, LAST: last}


def entry(params: dict, x: jax.Array, extent: Extent) -> jax.Array:
    """Features [B, H, W, c] of the picture of `extent` in x [B, H, W, C]."""
    layer = params["body"]["entry"]
    return leaky_relu(conv_norm(canvas.padded(x, extent, _WIDE // 2), extent, layer))


def finish(params: dict, x: jax.Array, extent: Extent) -> jax.Array:
    """The rest of the network: a picture [B, H, W, C] in (-1, 1) of features of an extent that can be halved."""
    body, skips = params["body"], [x]
    num_blocks, num_downscales = (_count(body, kind) for kind in ("block_", "down_"))
    extents = [tuple(side >> i for side in extent) for i in range(num_downscales + 1)]
    for i in range(num_downscales):
        x = leaky_relu(conv_norm(canvas.padded(x, extents[i], 1), extents[i], body[f"down_{i}"]))
        x = max_pool2d(x)
        skips.append(x)
    # A loop over the blocks, which are alike: compiled once.
    blocks = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(body[f"block_{i}"] for i in range(num_blocks)))
    x, _ = jax.lax.scan(lambda x, block: (x + _bottleneck(x, extents[-1], block), None), x, blocks)
    for i in reversed(range(num_downscales)):
        doubled = functools.partial(_doubled, extent=extents[i + 1])
        x = leaky_relu(conv_norm(x, extents[i], body[f"up_{i}"], doubled))
        x = x + skips[i]
    last = params[LAST]
    return jnp.tanh(conv2d_valid(canvas.padded(x, extent, _WIDE // 2), last["kernel"]) + last["bias"])


def generate(
    params: dict, x: jax.Array, extent: Extent, transform: Callable[[jax.Array], jax.Array], wanted: Extent
) -> jax.Array:
    """The picture of `extent` in x [B, H, W, C] at the extent `wanted`, as `finish` takes it: float32 in (-1, 1).

    Args:
      params: with spectral norm applied.
      transform: the geometric layer, which brings features of `extent` to `wanted` on a canvas of its own.
    """
    return finish(params, transform(entry(params, x, extent)), wanted)


def _count(layers: dict, kind: str) -> int:
    return sum(name.startswith(kind) for name in layers)


def _bottleneck(x: jax.Array, extent: Extent, block: dict) -> jax.Array:
    x = leaky_relu(conv_norm(x, extent, block["narrow"]))
    x = leaky_relu(conv_norm(canvas.padded(x, extent, 1), extent, block["middle"]))
    return conv_norm(x, extent, block["widen"])


def _doubled(x: jax.Array, kernel: jax.Array, extent: Extent) -> jax.Array:
    """Convolution of x upsampled and then mirrored at its borders.

    What an upsampled picture mirrors is its own border pixel again, so x is padded instead: `upsample_conv2d` takes
    4/9 of the multiplications.
    """
    whole = upsample_conv2d(canvas.padded(x, extent, 1, mode="symmetric"), kernel)
    return whole[:, 2:-2, 2:-2]
