"""LPIPS v0.1 (metrics.md) with features that are computed once per picture.

A picture becomes one vector, so scaled that the squared Euclidean distance of two vectors is the LPIPS of
their pictures: sum over layers of the spatial mean of sum_c w_c (a_c - b_c)^2.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from siv_jax.metrics.batches import in_batches
from siv_jax.metrics.variants import VARIANTS

_MEAN = np.array([-0.030, -0.088, -0.188], np.float32)
_SCALE = np.array([0.458, 0.448, 0.450], np.float32)
_PIXELS = 200_000  # in a batch: 4 pictures of 192x256


class Alex(nn.Module):
    """Five ReLU features of AlexNet."""

    @nn.compact
    def __call__(self, x: jax.Array) -> list[jax.Array]:
        x = nn.relu(nn.Conv(64, (11, 11), 4, padding=2, name="conv_0")(x))
        features = [x]
        for index, (channels, side) in enumerate([(192, 5), (384, 3), (256, 3), (256, 3)], start=1):
            if index <= 2:
                x = nn.max_pool(x, (3, 3), (2, 2))
            x = nn.relu(nn.Conv(channels, (side, side), padding=side // 2, name=f"conv_{index}")(x))
            features.append(x)
        return features


class VGG(nn.Module):
    """The last ReLU feature of each of VGG16's five groups."""

    @nn.compact
    def __call__(self, x: jax.Array) -> list[jax.Array]:
        features = []
        index = 0
        for group, (channels, depth) in enumerate([(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)]):
            if group:
                x = nn.max_pool(x, (2, 2), (2, 2))
            for _ in range(depth):
                x = nn.relu(nn.Conv(channels, (3, 3), padding=1, name=f"conv_{index}")(x))
                index += 1
            features.append(x)
        return features


_NETWORKS = {"alex": Alex(), "vgg": VGG()}


def vectors(variant: str, params: dict, images: np.ndarray) -> np.ndarray:
    """float32 [N, D] vectors of uint8 `images` [N, H, W, 3]; `params` as `weights.load` gives them.

    1.9 MB a picture of 192x256 with AlexNet, 27 MB with VGG.
    """
    chosen = VARIANTS[variant]
    embed = functools.partial(_embed, chosen.network, chosen.low, params)
    return np.concatenate(list(in_batches(embed, images, _PIXELS)))


@functools.partial(jax.jit, static_argnums=(0, 1))
def _embed(network: str, low: float, params: dict, images: jax.Array) -> jax.Array:
    convolutions = {name: value for name, value in params.items() if name.startswith("conv")}
    x = low + images.astype(jnp.float32) / 255.0 * (1.0 - low)
    features = _NETWORKS[network].apply({"params": convolutions}, (x - _MEAN) / _SCALE)
    parts = []
    for index, feature in enumerate(features):
        length = jnp.sqrt(jnp.sum(feature**2, axis=-1, keepdims=True))
        positions = feature.shape[1] * feature.shape[2]
        weighted = feature / (length + 1e-10) * jnp.sqrt(params[f"head_{index}"] / positions)
        parts.append(weighted.reshape(len(images), -1))
    return jnp.concatenate(parts, axis=1)


def distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """float32 [N, M] LPIPS of every vector of `first` [N, D] to every one of `second` [M, D].

    From inner products, which round to about 1e-6; distances that are small against that are computed anew
    from the differences, so that equal pictures are exactly 0 apart.
    """
    squares = [np.array([vector @ vector for vector in vectors]) for vectors in (first, second)]
    found = squares[0][:, None] + squares[1] - 2 * (first @ second.T)
    for row, column in np.argwhere(found < 1e-3):
        found[row, column] = np.sum((first[row] - second[column]) ** 2)
    return found
