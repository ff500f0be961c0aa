"""The discriminator: one network for each scale of the picture; their maps are added up with changing weights."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from siv_jax.models.ingan import canvas
from siv_jax.models.ingan.canvas import Extent
from siv_jax.models.ingan.layers import conv_norm, conv_shapes
from siv_jax.models.ingan.plan import scales_seen
from siv_jax.nn.activations import leaky_relu
from siv_jax.nn.convolution import conv2d, conv2d_valid_halve

_SIGMA = 1.4  # base of the weights of the scales
_MOST_SCALES = 128  # more than any picture has


def shapes(width: int, num_nets: int, channels: int) -> dict:
    """Parameters as a tree of `jax.ShapeDtypeStruct`; all kernels have spectral norm. Biases: see the generator's."""
    last = {
        "kernel": jax.ShapeDtypeStruct((1, 1, 2 * width, 1), np.float32),
        "bias": jax.ShapeDtypeStruct((1,), np.float32),
    }
    layers = {
        "first": conv_shapes(3, channels, width),
        "halve": conv_shapes(3, width, 2 * width),
        "third": conv_shapes(3, 2 * width, 2 * width),
        "logit": last,
    }
    return {f"net_{i}": layers for i in range(num_nets)}


def scale_weights(step: jax.Array | int, num_scales: jax.Array | int, num_nets: int, even: int) -> jax.Array:
    """float32 [num_nets]: what each scale counts at this step, 0 for those that the picture does not have.

    f^k / (f^0 + ... + f^(n-1)) with f = 1.4^((even - step) / even): coarse scales first, all alike at `even`.
    A large picture has more scales than there are networks; the weights then sum up to less than 1 (as run).

    Args:
      num_scales: of the picture, see `scales_seen`.
    """
    log_f = math.log(_SIGMA) * (1 - jnp.asarray(step, jnp.float32) / even)
    numbers = jnp.arange(_MOST_SCALES)
    terms = jnp.where(numbers < num_scales, numbers.astype(jnp.float32) * log_f, -jnp.inf)
    return jax.nn.softmax(terms)[:num_nets]


def discriminate(
    params: dict, x: jax.Array, extent: Extent, weights: jax.Array, factor: float
) -> tuple[jax.Array, Extent]:
    """The sum over scales of `weights` times each network's map, and its extent.

    Args:
      params: with spectral norm applied.
      x: pictures [B, H, W, C] of `extent`.
      weights: of the networks, [num_nets], see `scale_weights`.
      factor: from each scale to the next smaller one.

    Returns:
      float32 [B, h, w, 1]; 1 is real, 0 is fake.
    """
    maps = scale_maps(params, x, extent, factor)
    first, map_extent = maps[0]
    total = weights[0] * first
    for weight, (scores, scores_extent) in zip(weights[1:], maps[1:], strict=False):
        brought = canvas.resized(scores, scores_extent, first.shape[1:3], map_extent, corners=False)
        total = total + weight * brought
    return total, map_extent


def scale_maps(params: dict, x: jax.Array, extent: Extent, factor: float) -> list[tuple[jax.Array, Extent]]:
    """Each network's map, in (0, 1), and its extent; of as many networks as the canvas x has scales."""
    count = min(len(params), scales_seen(min(x.shape[1:3]), factor))
    maps = []
    for k in range(count):
        seen, seen_extent = at_scale(x, extent, factor, k)
        maps.append(_net(params[f"net_{k}"], seen, seen_extent))
    return maps


def at_scale(x: jax.Array, extent: Extent, factor: float, k: int) -> tuple[jax.Array, Extent]:
    """Pictures smaller by factor^k, sides rounded down, bilinearly from full size; and their extent."""
    if k == 0:
        return x, extent
    shrunk = functools.partial(_shrunk_side, factor=factor, k=k, largest=max(x.shape[1:3]))
    canvas_size, wanted = tuple(map(shrunk, x.shape[1:3])), tuple(map(shrunk, extent))
    return canvas.resized(x, extent, canvas_size, wanted, corners=False), wanted


def num_scales(extent: Extent, factor: float, largest: int) -> jax.Array | int:
    """Scales of a picture of this extent, whose sides are `largest` pixels at most."""
    height, width = extent
    if isinstance(height, int):
        return scales_seen(min(height, width), factor)
    table = np.array([scales_seen(max(side, 1), factor) for side in range(largest + 1)], np.int32)
    return jnp.asarray(table)[jnp.minimum(height, width)]


def _shrunk_side(side: int | jax.Array, factor: float, k: int, largest: int) -> int | jax.Array:
    """Computed in float64 for every side there can be: rounded in float32 an exact pixel could be lost."""
    table = np.floor(np.arange(largest + 1) * factor**-k).astype(np.int32)
    return int(table[side]) if isinstance(side, int) else jnp.asarray(table)[side]


def _net(layers: dict, x: jax.Array, extent: Extent) -> tuple[jax.Array, Extent]:
    extent = _smaller(extent, lambda side: side - 2)
    x = leaky_relu(conv_norm(x, extent, layers["first"]))
    extent = _smaller(extent, lambda side: (side - 1) >> 1)
    x = leaky_relu(conv_norm(x, extent, layers["halve"], conv2d_valid_halve))
    extent = _smaller(extent, lambda side: side - 2)
    x = leaky_relu(conv_norm(x, extent, layers["third"]))
    logits = conv2d(x, layers["logit"]["kernel"]) + layers["logit"]["bias"]
    return jax.nn.sigmoid(logits), extent


def _smaller(extent: Extent, by) -> Extent:
    """At least 1: a picture without this scale has no pixels left, and its map no weight."""
    return tuple(max(by(side), 1) if isinstance(side, int) else jnp.maximum(by(side), 1) for side in extent)
