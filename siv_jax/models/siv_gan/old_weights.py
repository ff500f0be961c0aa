"""Weights of the original PyTorch implementation, under its own names, as trees of this package.

A convolution there holds `weight_orig` [out, in, kh, kw], `bias` and spectral norm's `weight_u` [out] and
`weight_v` [in * kh * kw]; the generator's first map is a transposed convolution with `weight` [in, out, h, w].
"""

import re

import numpy as np

from siv_jax.errors import UserError

_LAYERS = {"conv1": "conv1", "conv2": "conv2", "conv_sc": "shortcut"}


def convolution(tensors: dict[str, np.ndarray], name: str) -> tuple[dict, dict]:
    """({"kernel", "bias"}, {"u", "v"}) of the spectrally normalised convolution `name`.

    Raises:
      UserError: a tensor is missing or of another shape.
    """
    weight = _get(tensors, f"{name}.weight_orig", 4)
    u, v = _get(tensors, f"{name}.weight_u", 1), _get(tensors, f"{name}.weight_v", 1)
    out, inputs, height, width = weight.shape
    if u.shape != (out,) or v.shape != (inputs * height * width,):
        raise UserError(
            f"{name}: weight_u {u.shape} and weight_v {v.shape} do not fit weight_orig {weight.shape}"
        )
    layer = {"kernel": weight.transpose(2, 3, 1, 0)}
    if f"{name}.bias" in tensors:
        layer["bias"] = _get(tensors, f"{name}.bias", 1)
    return layer, {"u": u, "v": v.reshape(inputs, height, width).transpose(1, 2, 0).ravel()}


def generator(tensors: dict[str, np.ndarray]) -> tuple[dict, dict]:
    """Parameters and spectral-norm vectors of a generator's state_dict.

    Args:
      tensors: float arrays under names such as `body.0.conv1.weight_orig`.

    Returns:
      (params, vectors) as `models.generator.Generator` and `models.spectral_norm` take them, float32.

    Raises:
      UserError: these are not the weights of such a generator; says what is missing or left over.
    """
    first = _get(tensors, "first_linear.weight", 4)
    params = {"dense": {"kernel": first.transpose(0, 2, 3, 1), "bias": _get(tensors, "first_linear.bias", 1)}}
    vectors = {}
    used = {"first_linear.weight", "first_linear.bias"}
    blocks = {int(m.group(1)) for m in map(re.compile(r"body\.(\d+)\.").match, tensors) if m}
    if not blocks or blocks != set(range(len(blocks))):
        raise UserError(f"these weights hold generator blocks {sorted(blocks)}, not a run of blocks from 0")
    for i in sorted(blocks):
        params[f"block_{i}"], vectors[f"block_{i}"] = {}, {}
        for theirs, ours in _LAYERS.items():
            layer, pair = convolution(tensors, f"body.{i}.{theirs}")
            params[f"block_{i}"][ours], vectors[f"block_{i}"][ours] = layer, pair
        params[f"to_image_{i}"], vectors[f"to_image_{i}"] = convolution(tensors, f"rgb_converters.{i}")
        names = [f"body.{i}.{layer}" for layer in _LAYERS] + [f"rgb_converters.{i}"]
        used |= {
            f"{name}.{leaf}" for name in names for leaf in ("weight_orig", "weight_u", "weight_v", "bias")
        }
    left = sorted(set(tensors) - used)
    if left:
        raise UserError(f"these are not the weights of a SIV-GAN generator: {left[0]} has no place in one")
    return params, vectors


def _get(tensors: dict[str, np.ndarray], name: str, ndim: int) -> np.ndarray:
    if name not in tensors:
        raise UserError(f"these are not the weights of a SIV-GAN generator: {name} is missing")
    array = np.asarray(tensors[name])
    if array.ndim != ndim or array.dtype.kind != "f" or not np.isfinite(array).all():
        raise UserError(
            f"{name} holds {array.dtype}{list(array.shape)}; finite numbers in {ndim} dimensions belong there"
        )
    return array.astype(np.float32)
