"""LPIPS v0.1 with features that are computed once per picture.

A picture becomes one vector, so scaled that the squared Euclidean distance of two vectors is the LPIPS of
their pictures: sum over layers of the spatial mean of sum_c w_c (a_c - b_c)^2.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from siv_jax.metrics.network_weights import LPIPS_FORMS
from siv_jax.metrics.networks import convolution, in_batches

_MEAN = np.array([-0.030, -0.088, -0.188], np.float32)
_SCALE = np.array([0.458, 0.448, 0.450], np.float32)
# The lower end of the range that the input is scaled to, where it is not -1; the upper end is 1.
_LOWEST_INPUT = {"alex01": 0.0}


def _alex(params: dict, x: jax.Array) -> list[jax.Array]:
    """Five ReLU features of AlexNet."""
    features = []
    for index, (stride, padding) in enumerate([(4, 2), (1, 2), (1, 1), (1, 1), (1, 1)]):
        if index in (1, 2):
            x = nn.max_pool(x, (3, 3), (2, 2))
        x = convolution(params[f"conv_{index}"], x, stride, padding)
        features.append(x)
    return features


def _vgg(params: dict, x: jax.Array) -> list[jax.Array]:
    """The last ReLU feature of each of VGG16's five groups."""
    features = []
    for group in ((0, 1), (2, 3), (4, 5, 6), (7, 8, 9), (10, 11, 12)):
        if features:
            x = nn.max_pool(x, (2, 2), (2, 2))
        for index in group:
            x = convolution(params[f"conv_{index}"], x)
        features.append(x)
    return features


_NETWORKS = {"alex": _alex, "vgg": _vgg}


def vectors(form: str, params: dict, images: np.ndarray) -> np.ndarray:
    """float32 [N, D] vectors of uint8 `images` [N, H, W, 3].

    1.9 MB a picture of 192x256 with AlexNet, 27 MB with VGG. `form` is one of `network_weights.LPIPS_FORMS`, `params`
    what `network_weights.load` gives for its network.
    """
    return np.concatenate(list(in_batches(functools.partial(_embed, form, params), images)))


@functools.partial(jax.jit, static_argnums=0)
def _embed(form: str, params: dict, images: jax.Array) -> jax.Array:
    low = _LOWEST_INPUT.get(form, -1.0)
    x = low + images.astype(jnp.float32) / 255.0 * (1.0 - low)
    parts = []
    for index, feature in enumerate(_NETWORKS[LPIPS_FORMS[form]](params, (x - _MEAN) / _SCALE)):
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
