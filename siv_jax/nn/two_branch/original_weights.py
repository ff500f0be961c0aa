"""Generators of original PyTorch implementations as trees of this package.

A convolution there holds `weight_orig` [out, in, kh, kw], `bias` and spectral norm's `weight_u` [out] and
`weight_v` [in * kh * kw]; the generator's first map is a transposed convolution with `weight` [in, out, h, w].
"""

import dataclasses
import re
from collections.abc import Callable

import numpy as np

from siv_jax.config import Config
from siv_jax.errors import UserError
from siv_jax.nn import flat, original_tensors
from siv_jax.nn.original_tensors import Tensors, taken
from siv_jax.nn.two_branch.network import Network
from siv_jax.nn.two_branch.plan import Plan
from siv_jax.nn.two_branch.settings import ModelConfig

# Part of every generator's state_dict; what stands before it in a name is a prefix. Copies of the tensors after
# something was done to them, such as gradients, have the first name and not the second.
_FIRST, _SECOND = "first_linear.weight", "body.0.conv1.weight_u"
_LAYERS = {"conv1": "conv1", "conv2": "conv2", "conv_sc": "shortcut"}


def without_prefix(tensors: Tensors, network: str) -> Tensors:
    """The generator's tensors under their own names.

    Args:
      network: what people call it, with its article.

    Raises UserError: there is no such generator, or more than one.
    """
    prefix = original_tensors.only_one(original_tensors.prefixes(tensors, _FIRST, _SECOND), network)
    found = original_tensors.under_prefix(tensors, prefix)
    return {name: tensor for name, tensor in found.items() if not name.endswith("num_batches_tracked")}


def convolution(tensors: Tensors, name: str, network: str) -> tuple[dict, dict]:
    """({"kernel", "bias"}, {"u", "v"}) of the spectrally normalised convolution `name`, taken out of `tensors`.

    Raises UserError: a tensor is missing or of another shape.
    """
    weight = taken(tensors, f"{name}.weight_orig", 4, network)
    u, v = (taken(tensors, f"{name}.weight_{vector}", 1, network) for vector in "uv")
    vectors = original_tensors.vectors(u, v, weight, name)
    layer = {"kernel": original_tensors.kernel(weight)}
    if f"{name}.bias" in tensors:
        layer["bias"] = taken(tensors, f"{name}.bias", 1, network)
    return layer, vectors


def generator(tensors: Tensors, network: str) -> tuple[dict, dict]:
    """Parameters and spectral-norm vectors of a generator's state_dict.

    `tensors` are float arrays under names such as `body.0.conv1.weight_orig`; the result is (params, vectors), float32,
    as `Generator` and `spectral_norm` take them.

    Raises UserError: these are not the weights of such a generator; says what is missing or left over.
    """
    tensors, vectors = dict(tensors), {}
    first = taken(tensors, _FIRST, 4, network)
    bias = taken(tensors, "first_linear.bias", 1, network)
    params = {"dense": {"kernel": first.transpose(0, 2, 3, 1), "bias": bias}}
    blocks = {int(found[1]) for found in map(re.compile(r"body\.(\d+)\.").match, tensors) if found}
    if not blocks or blocks != set(range(len(blocks))):
        raise UserError(f"these weights hold generator blocks {sorted(blocks)}, not a run of blocks from 0")
    for i in sorted(blocks):
        params[f"block_{i}"], vectors[f"block_{i}"] = {}, {}
        for theirs, ours in _LAYERS.items():
            layer, pair = convolution(tensors, f"body.{i}.{theirs}", network)
            params[f"block_{i}"][ours], vectors[f"block_{i}"][ours] = layer, pair
        params[f"to_image_{i}"], vectors[f"to_image_{i}"] = convolution(tensors, f"rgb_converters.{i}", network)
    original_tensors.require_none_left(tensors, network)
    return params, vectors


def plan_of(params: dict) -> Plan:
    """The plan of a generator of these parameters. It has no discriminator, whose blocks sampling does not read."""
    _, noise_height, noise_width, _ = params["dense"]["kernel"].shape
    blocks = _num_blocks(params)
    cell = 2 ** (blocks - 1)
    return Plan(
        height=noise_height * cell,
        width=noise_width * cell,
        channels=params[f"to_image_{blocks - 1}"]["kernel"].shape[-1],
        noise_height=noise_height,
        noise_width=noise_width,
        num_blocks_g=blocks,
        num_blocks_d=2,
        num_blocks_low_level=1,
    )


def imported(
    params: dict,
    vectors: dict,
    plan: Plan,
    config: Config,
    make_generator: Callable[[Plan, ModelConfig], Network],
    network: str,
) -> tuple[Config, Plan, dict[str, np.ndarray]]:
    """Settings, plan and sampling weights of a generator; settings that the weights tell are replaced.

    Raises UserError: a number of blocks that no such generator has, or a tensor of another shape.
    """
    model = dataclasses.replace(config.model, **settings_of(params, network))
    original_tensors.require_shapes(params, make_generator(plan, model).shapes, network)
    weights = {"ema": flat.joined(params), "vectors_g": flat.joined(vectors)}
    return dataclasses.replace(config, model=model), plan, weights


def settings_of(params: dict, network: str) -> dict[str, int]:
    """Settings of the model: {"ch_g", "noise_dim"}.

    Raises UserError: a number of blocks that no such generator has.
    """
    blocks = _num_blocks(params)
    if not 5 <= blocks <= 9:
        raise UserError(f"these weights have {blocks} blocks; {network} has 5 to 9")
    last = params[f"block_{blocks - 1}"]["conv2"]["kernel"].shape[-1]
    return {"ch_g": last, "noise_dim": params["dense"]["kernel"].shape[0]}


def _num_blocks(params: dict) -> int:
    return sum(name.startswith("block_") for name in params)
