"""LPIPS v0.1 as a function with gradients, and its VGG16.

LPIPS of two images is the sum over layers of the spatial mean of sum_c w_c (a_c - b_c)^2, where a and b are features of
unit length. `scaled` takes the roots of the weights and of the number of places into the features, so that it is the
sum of squared differences.
"""

import jax
import jax.numpy as jnp
import numpy as np

from siv_jax.nn.convolution import conv2d, max_pool2d

_MEAN = np.array([-0.030, -0.088, -0.188], np.float32)
_SCALE = np.array([0.458, 0.448, 0.450], np.float32)
_VGG_GROUPS = ((0, 1), (2, 3), (4, 5, 6), (7, 8, 9), (10, 11, 12))
# Of the squared length of a feature: its root has no gradient at 0.
_TINY = 1e-20


def distance(params: dict, features: list[jax.Array], others: list[jax.Array]) -> jax.Array:
    """LPIPS float32 [B] of images whose `vgg_features` are given."""
    pairs = zip(scaled(params, features), scaled(params, others), strict=True)
    return sum(jnp.sum(jnp.square(one - other), axis=(1, 2, 3)) for one, other in pairs)


def vgg_features(params: dict, images: jax.Array) -> list[jax.Array]:
    """The last ReLU feature of each of VGG16's five groups.

    Args:
      params: what siv_jax.metrics.network_weights.load("vgg") gives.
      images: float32 [B, H, W, 3] in [-1, 1].
    """
    features, x = [], whitened(images)
    for group in _VGG_GROUPS:
        x = max_pool2d(x) if features else x
        for index in group:
            layer = params[f"conv_{index}"]
            x = jax.nn.relu(conv2d(x, layer["kernel"]) + layer["bias"])
        features.append(x)
    return features


def whitened(images: jax.Array) -> jax.Array:
    """`images` [B, H, W, 3] in [-1, 1] as the networks take them."""
    return (images - _MEAN) / _SCALE


def scaled(params: dict, features: list[jax.Array]) -> list[jax.Array]:
    """Features of unit length times the root of their weights over the number of places; see above."""
    parts = []
    for index, feature in enumerate(features):
        length = jnp.sqrt(jnp.maximum(jnp.sum(feature**2, axis=-1, keepdims=True), _TINY))
        positions = feature.shape[1] * feature.shape[2]
        parts.append(feature / (length + 1e-10) * jnp.sqrt(params[f"head_{index}"] / positions))
    return parts
