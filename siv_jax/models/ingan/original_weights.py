"""Weights of the original PyTorch implementation, under its own names, as sampling weights of this package.

A convolution there holds `weight_orig` [out, in, kh, kw], `bias` and spectral norm's `weight_u` [out] and
`weight_v` [in * kh * kw]; the last one has `weight` and `bias`. Batch normalizations hold `weight` and `bias` [out].
"""

import dataclasses
import re

import jax
import numpy as np

from siv_jax.data.source import Source
from siv_jax.errors import UserError
from siv_jax.models.ingan import generator, network
from siv_jax.models.ingan.config import Config
from siv_jax.models.ingan.plan import Plan, make_plan
from siv_jax.nn import flat, original_tensors, spectral_norm
from siv_jax.nn.original_tensors import BUFFERS, Tensors, put, taken

NETWORK = "an InGAN generator"
_FIRST, _SECOND = "entry_block.1.weight_orig", "entry_block.1.weight_u"
_LAST = "final_block.1"
_LARGEST_PICTURE = 1792  # of data.max_size

# Layers of a residual block by their number: name here, and whether it is the batch normalization there.
_BOTTLENECK = {
    **{"0": ("narrow", False), "4": ("middle", False), "7": ("widen", False)},
    **{"1": ("narrow", True), "5": ("middle", True), "8": ("widen", True)},
}
# In all others 1 is the convolution and 2 the batch normalization.
_BLOCKS = {
    r"entry_block\.([12])": "entry",
    r"downscale_block\.conv_(\d+)\.([12])": "down_{}",
    r"upscale_block\.conv_(\d+)\.([12])": "up_{}",
}


def import_weights(tensors: Tensors, config: Config, source: Source | None) -> tuple[Config, Plan, dict]:
    """Settings, plan and sampling weights of a generator's state_dict; names may carry a common prefix.

    Widths and numbers of blocks follow from the shapes. The picture keeps its size, as in the original, up to 1792
    pixels; its sides become multiples of 8. Spectral norm takes one step, as in the first pass there.

    Args:
      tensors: float arrays under names such as `entry_block.1.weight_orig`; running statistics are not read, as run.
      config: settings; those that the weights tell are replaced.
      source: the picture that was learnt, which samples start from.

    Raises UserError: these are not the weights of one InGAN generator, or there is no picture, or one too small.
    """
    prefix = original_tensors.only_one(original_tensors.prefixes(tensors, _FIRST, _SECOND), NETWORK)
    params, before = trees(original_tensors.under_prefix(tensors, prefix))
    if source is None:
        raise UserError("samples start from the picture that was learnt: give it with --image")
    body, last = params["body"], params[generator.LAST]["kernel"]
    counts = {kind: sum(name.startswith(f"{kind}_") for name in body) for kind in ("down", "block")}
    model = dataclasses.replace(
        config.model, ch_g=last.shape[2], num_downscales_g=counts["down"], num_blocks_g=counts["block"]
    )
    data = dataclasses.replace(config.data, max_size=min(max(source.size), _LARGEST_PICTURE))
    config = dataclasses.replace(config, model=model, data=data)
    plan = make_plan(*source.size, source.channels, config)
    made = network.of_generator(plan, model)
    original_tensors.require_shapes(params, made.shapes, NETWORK)
    original_tensors.require_shapes(before, spectral_norm.shapes({"body": made.shapes["body"]}), NETWORK)
    params_g, pictures = flat.joined(params), source.resized(plan.height, plan.width)
    vectors_g = np.asarray(jax.jit(made.power_step)(params_g, flat.joined(before)))
    return config, plan, {"params_g": params_g, "vectors_g": vectors_g, "pictures": pictures}


def trees(tensors: Tensors) -> tuple[dict, dict]:
    """(params, vectors) of a generator's tensors under their own names, float32, as `generator.shapes` has them.

    Biases before a batch normalization, which it subtracts again, have no place here.

    Raises UserError: a tensor is missing, has other dimensions, or no place in such a generator.
    """
    tensors = {name: tensor for name, tensor in tensors.items() if not name.endswith(BUFFERS)}
    weight, bias = taken(tensors, f"{_LAST}.weight", 4, NETWORK), taken(tensors, f"{_LAST}.bias", 1, NETWORK)
    params, vectors = {generator.LAST: {"kernel": original_tensors.kernel(weight), "bias": bias}}, {}
    for layer in dict.fromkeys(name.rpartition(".")[0] for name in tensors):
        path, is_norm = place(layer)
        if is_norm:
            put(params, (*path, "scale"), taken(tensors, f"{layer}.weight", 1, NETWORK))
            put(params, (*path, "bias"), taken(tensors, f"{layer}.bias", 1, NETWORK))
            continue
        weight = taken(tensors, f"{layer}.weight_orig", 4, NETWORK)
        u, v = (taken(tensors, f"{layer}.weight_{vector}", 1, NETWORK) for vector in "uv")
        put(params, (*path, "kernel"), original_tensors.kernel(weight))
        put(vectors, path, original_tensors.vectors(u, v, weight, layer))
        tensors.pop(f"{layer}.bias", None)
    original_tensors.require_none_left(tensors, NETWORK)
    return params, vectors


def place(layer: str) -> tuple[tuple[str, ...], bool]:
    """(place in our trees, whether it is a batch normalization) of a layer there. Raises UserError: nowhere."""
    found = re.fullmatch(r"bottleneck_block\.(\d+)\.conv_block\.(\d)", layer)
    if found and found[2] in _BOTTLENECK:
        ours, is_norm = _BOTTLENECK[found[2]]
        return ("body", f"block_{found[1]}", ours), is_norm
    for pattern, ours in _BLOCKS.items():
        if found := re.fullmatch(pattern, layer):
            *index, number = found.groups()
            return ("body", ours.format(*index)), number == "2"
    raise UserError(f"these are not the weights of {NETWORK}: {layer} has no place in one")
