"""Weights of the original PyTorch implementation, under its own names, as trees of this package.

A convolution there holds `weight_orig` [out, in, kh, kw], `bias` and spectral norm's `weight_u` [out] and
`weight_v` [in * kh * kw]; the generator's first map is a transposed convolution with `weight` [in, out, h, w].
"""

import re

import jax
import numpy as np

from siv_jax.errors import UserError
from siv_jax.models.siv_gan import network
from siv_jax.models.siv_gan.config import Config, ModelConfig
from siv_jax.nn import flat
from siv_jax.nn.two_branch.plan import Plan

# Part of every generator's state_dict; what stands before it in a name is a prefix.
_FIRST = "first_linear.weight"
_LAYERS = {"conv1": "conv1", "conv2": "conv2", "conv_sc": "shortcut"}


def import_weights(tensors: dict[str, np.ndarray]) -> tuple[Config, Plan, dict[str, np.ndarray]]:
    """Settings, plan and sampling weights of a generator's state_dict; names may carry a common prefix.

    Raises UserError: these are not the weights of one SIV-GAN generator.
    """
    params, vectors = generator(_without_prefix(tensors))
    noise_dim, noise_height, noise_width, _ = params["dense"]["kernel"].shape
    blocks = sum(name.startswith("block_") for name in params)
    cell = 2 ** (blocks - 1)
    plan = Plan(
        height=noise_height * cell,
        width=noise_width * cell,
        channels=params[f"to_image_{blocks - 1}"]["kernel"].shape[-1],
        noise_height=noise_height,
        noise_width=noise_width,
        num_blocks_g=blocks,
        # There is no discriminator; sampling reads neither of these.
        num_blocks_d=2,
        num_blocks_low_level=1,
    )
    last = params[f"block_{blocks - 1}"]["conv2"]["kernel"].shape[-1]
    config = Config(model=ModelConfig(ch_g=last, noise_dim=noise_dim))
    wanted = network.generator(plan, config.model).shapes if 5 <= blocks <= 9 else {}
    if jax.tree.map(lambda leaf: leaf.shape, wanted) != jax.tree.map(np.shape, params):
        raise UserError("these weights have the shapes of no SIV-GAN generator")
    return config, plan, {"ema": flat.joined(params), "vectors_g": flat.joined(vectors)}


def _without_prefix(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The generator's tensors under their own names."""
    prefixes = [name.removesuffix(_FIRST) for name in tensors if name.endswith(_FIRST)]
    # Copies of the tensors after something was done to them, such as gradients, are not weights.
    prefixes = [prefix for prefix in prefixes if f"{prefix}body.0.conv1.weight_u" in tensors]
    if len(prefixes) != 1:
        found = ", ".join(prefixes) or "none"
        raise UserError(f"there should be the weights of one SIV-GAN generator, but there is {found}")
    return {
        name.removeprefix(prefixes[0]): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefixes[0]) and not name.endswith("num_batches_tracked")
    }


def convolution(tensors: dict[str, np.ndarray], name: str) -> tuple[dict, dict]:
    """({"kernel", "bias"}, {"u", "v"}) of the spectrally normalised convolution `name`, taken out of `tensors`.

    Raises UserError: a tensor is missing or of another shape.
    """
    weight = _taken(tensors, f"{name}.weight_orig", 4)
    u, v = _taken(tensors, f"{name}.weight_u", 1), _taken(tensors, f"{name}.weight_v", 1)
    out, inputs, height, width = weight.shape
    if u.shape != (out,) or v.shape != (inputs * height * width,):
        raise UserError(f"{name}: weight_u {u.shape} and weight_v {v.shape} do not fit weight_orig {weight.shape}")
    layer = {"kernel": weight.transpose(2, 3, 1, 0)}
    if f"{name}.bias" in tensors:
        layer["bias"] = _taken(tensors, f"{name}.bias", 1)
    return layer, {"u": u, "v": v.reshape(inputs, height, width).transpose(1, 2, 0).ravel()}


def generator(tensors: dict[str, np.ndarray]) -> tuple[dict, dict]:
    """Parameters and spectral-norm vectors of a generator's state_dict.

    `tensors` are float arrays under names such as `body.0.conv1.weight_orig`; the result is (params, vectors), float32,
    as `Generator` and `spectral_norm` take them.

    Raises UserError: these are not the weights of such a generator; says what is missing or left over.
    """
    tensors, vectors = dict(tensors), {}
    first = _taken(tensors, _FIRST, 4)
    params = {"dense": {"kernel": first.transpose(0, 2, 3, 1), "bias": _taken(tensors, "first_linear.bias", 1)}}
    blocks = {int(found[1]) for found in map(re.compile(r"body\.(\d+)\.").match, tensors) if found}
    if not blocks or blocks != set(range(len(blocks))):
        raise UserError(f"these weights hold generator blocks {sorted(blocks)}, not a run of blocks from 0")
    for i in sorted(blocks):
        params[f"block_{i}"], vectors[f"block_{i}"] = {}, {}
        for theirs, ours in _LAYERS.items():
            layer, pair = convolution(tensors, f"body.{i}.{theirs}")
            params[f"block_{i}"][ours], vectors[f"block_{i}"][ours] = layer, pair
        params[f"to_image_{i}"], vectors[f"to_image_{i}"] = convolution(tensors, f"rgb_converters.{i}")
    if tensors:
        raise UserError(f"these are not the weights of a SIV-GAN generator: {min(tensors)} has no place in one")
    return params, vectors


def _taken(tensors: dict[str, np.ndarray], name: str, ndim: int) -> np.ndarray:
    if name not in tensors:
        raise UserError(f"these are not the weights of a SIV-GAN generator: {name} is missing")
    array = np.asarray(tensors.pop(name))
    if array.ndim != ndim or array.dtype.kind != "f" or not np.isfinite(array).all():
        raise UserError(
            f"{name} holds {array.dtype}{list(array.shape)}; finite numbers in {ndim} dimensions belong there"
        )
    return array.astype(np.float32)
