"""LPIPS v0.1 with features that are computed once per picture.

A picture becomes one vector, so scaled that the squared Euclidean distance of two vectors is the LPIPS of
their pictures (siv_jax/nn/lpips.py).
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from siv_jax.metrics.network_weights import LPIPS_FORMS
from siv_jax.metrics.networks import convolution, in_batches
from siv_jax.nn.lpips import scaled, vgg_features, whitened

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


_NETWORKS = {"alex": lambda params, images: _alex(params, whitened(images)), "vgg": vgg_features}


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
    parts = scaled(params, _NETWORKS[LPIPS_FORMS[form]](params, x))
    return jnp.concatenate([part.reshape(len(images), -1) for part in parts], axis=1)


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
