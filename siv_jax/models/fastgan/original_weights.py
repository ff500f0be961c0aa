"""Weights of the original PyTorch implementation, under its own names, as sampling weights of this package.

A convolution there holds `weight_orig` [out, in, kh, kw] and spectral norm's `weight_u` [out] and
`weight_v` [in * kh * kw]; the generator's first one is transposed, with `weight_orig` [in, out, kh, kw].
"""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np

from siv_jax.data.source import Source
from siv_jax.errors import UserError
from siv_jax.models.fastgan import network
from siv_jax.models.fastgan.config import SIZES, Config
from siv_jax.models.fastgan.network import Network
from siv_jax.models.fastgan.plan import Plan, is_composite, make_plan
from siv_jax.models.fastgan.sampler import Sampler, injected_noise
from siv_jax.nn import original_tensors, spectral_norm
from siv_jax.nn.original_tensors import BUFFERS, Tensors, put, taken

NETWORK = "a FastGAN generator"
# Of the published sizes; smaller ones are our own.
_SMALLEST = 256
# Batches whose mean statistics samples are normalized with, and samples in each.
_BATCHES, _BATCH = 8, 8

FIRST = "init.init.0"  # a transposed convolution
_BLOCKS = {
    True: {"1": "conv_0", "2": "noise_0", "3": "norm_0", "5": "conv_1", "6": "noise_1", "7": "norm_1"},
    False: {"1": "conv_0", "2": "norm_0"},
}
_GATES = {"1": "conv_0", "3": "conv_1"}
_ALONE = {
    FIRST: ("map_4", "project"),
    "init.init.1": ("map_4", "norm"),
    "to_128": ("to_small_image",),
    "to_big": ("to_image",),
}


def import_weights(tensors: Tensors, config: Config, source: Source | None) -> tuple[Config, Plan, dict]:
    """Settings, plan and sampling weights of a generator.

    The size and the widths follow from the shapes. Spectral norm takes one step, as in the first pass there. Samples
    are normalized by the mean statistics of some batches of the generator's, which the file does not hold: as run each
    batch has its own.

    Args:
      tensors: float arrays under names such as `init.init.0.weight_orig`, with any common prefix: of the generator's
        state_dict, or of a whole checkpoint. Of several generators there the one with "ema" in its prefix counts; a
        list of parameters `g_ema.0`, `g_ema.1`, ... beside one generator takes the place of its parameters, in order.
      config: settings; those that the weights tell are replaced.
      source: the pictures that were learnt, which are not needed.

    Raises UserError: these are not the weights of one FastGAN generator.
    """
    params, before = trees(_chosen(tensors))
    if "to_image" not in params:
        raise UserError("there is no to_big.*, the layer that makes the images of a FastGAN generator")
    size, channels = _size(params), params["to_image"]["kernel"].shape[-1]
    inputs, *_, outputs = params["map_4"]["project"]["kernel"].shape
    model = dataclasses.replace(config.model, ch_g=max(1, outputs // 32), noise_dim=inputs, tanh="as_run")
    config = dataclasses.replace(config, model=model, data=dataclasses.replace(config.data, max_size=size))
    plan = make_plan(size, size, channels, size)
    generator = network.generator(plan, model)
    original_tensors.require_shapes(params, generator.shapes, NETWORK)
    original_tensors.require_shapes(before, spectral_norm.shapes(generator.shapes), NETWORK)
    vectors = jax.tree.map(np.asarray, jax.jit(spectral_norm.power_step)(params, before))
    statistics = _mean_statistics(generator, params, vectors, plan, Sampler(plan, model))
    return config, plan, {"ema": params, "vectors_g": vectors, "statistics": statistics}


def trees(tensors: Tensors) -> tuple[dict, dict]:
    """(params, vectors) of a generator's tensors under their own names, float32, as `network.Network` takes them.

    Raises UserError: a tensor is missing, has other dimensions, or no place in such a generator.
    """
    tensors, params, vectors = dict(tensors), {}, {}
    for layer in dict.fromkeys(name.rpartition(".")[0] for name in tensors):
        path = place(layer)
        if f"{layer}.weight_orig" in tensors:
            weight = taken(tensors, f"{layer}.weight_orig", 4, NETWORK)
            u, v = (taken(tensors, f"{layer}.weight_{vector}", 1, NETWORK) for vector in "uv")
            if layer == FIRST:  # u is of [out] and v of [in * kh * kw], see spectral_norm
                kernel, pair = weight.transpose(0, 2, 3, 1), {"u": u, "v": v}
            else:
                kernel, pair = original_tensors.kernel(weight), original_tensors.vectors(u, v, weight, layer)
            put(params, (*path, "kernel"), kernel)
            put(vectors, path, pair)
        elif path[-1].startswith("noise"):
            put(params, (*path, "weight"), taken(tensors, f"{layer}.weight", 1, NETWORK).squeeze())
        else:
            put(params, (*path, "scale"), taken(tensors, f"{layer}.weight", 1, NETWORK))
            put(params, (*path, "bias"), taken(tensors, f"{layer}.bias", 1, NETWORK))
    original_tensors.require_none_left(tensors, NETWORK)
    return params, vectors


def place(layer: str) -> tuple[str, ...]:
    """Where the parameters of the original generator's `layer` ("feat_8.1") are. Raises UserError: nowhere."""
    if layer in _ALONE:
        return _ALONE[layer]
    if found := re.fullmatch(r"feat_(\d+)\.(\d)", layer):
        block = _BLOCKS[is_composite(int(found[1]))]
        if found[2] in block:
            return f"map_{found[1]}", block[found[2]]
    if (found := re.fullmatch(r"se_(\d+)\.main\.(\d)", layer)) and found[2] in _GATES:
        return f"excite_{found[1]}", _GATES[found[2]]
    raise UserError(f"these are not the weights of {NETWORK}: {layer} has no place in one")


def _chosen(tensors: Tensors) -> Tensors:
    """The generator's tensors under their own names, without the running statistics, which sampling as run ignores."""
    found = original_tensors.prefixes(tensors, f"{FIRST}.weight_orig", f"{FIRST}.weight_u")
    averages = [prefix for prefix in found if "ema" in prefix]
    prefix = original_tensors.only_one(averages if len(found) > 1 and averages else found, NETWORK)
    own = original_tensors.under_prefix(tensors, prefix)
    own = {name: tensor for name, tensor in own.items() if not name.endswith(BUFFERS)}
    numbered = original_tensors.under_prefix(tensors, "g_ema.") if not averages else {}
    listed = [numbered[str(i)] for i in range(len(numbered)) if str(i) in numbered]
    if not listed:
        return own
    names = [name for name in own if not name.endswith(("weight_u", "weight_v"))]
    if [np.shape(own[name]) for name in names] != [np.shape(tensor) for tensor in listed]:
        raise UserError("the averaged parameters g_ema do not fit the generator's beside them")
    return own | dict(zip(names, listed, strict=True))


def _size(params: dict) -> int:
    """Of the finest map. Raises UserError: one that was not published."""
    size = max(int(name.removeprefix("map_")) for name in params if name.startswith("map_"))
    if size not in SIZES or size < _SMALLEST:
        raise UserError(f"these weights make pictures of {size} pixels; {NETWORK} makes 256, 512 or 1024")
    return size


def _mean_statistics(generator: Network, params: dict, vectors: dict, plan: Plan, sampler: Sampler) -> dict:
    """Of batches of samples, as training stores them."""
    length = params["map_4"]["project"]["kernel"].shape[0]

    @jax.jit
    def of_batch(params: dict, vectors: dict, noise: jax.Array) -> dict:
        injected = injected_noise(noise[:, length:], plan.noise_shapes)
        return generator.batch_statistics(params, vectors, noise[:, :length], injected)

    found = [of_batch(params, vectors, sampler.noise(0, i * _BATCH, _BATCH)) for i in range(_BATCHES)]
    return jax.tree.map(lambda *leaves: np.asarray(jnp.mean(jnp.stack(leaves), axis=0)), *found)
