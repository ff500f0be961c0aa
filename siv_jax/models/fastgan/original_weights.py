"""Layers of the original PyTorch implementation, under its own names, as those of this package.

A convolution there holds `weight_orig` [out, in, kh, kw] and spectral norm's `weight_u` [out] and `weight_v`
[in * kh * kw]; the generator's first is a transposed one with `weight_orig` [in, out, kh, kw]. Batch norms hold
`weight`, `bias` and the running statistics that the original never uses.
"""

import re

import numpy as np

from siv_jax.errors import UserError
from siv_jax.models.fastgan.plan import is_composite

_FIRST = "init.init.0"
_BLOCKS = {
    True: {"1": "conv_0", "2": "noise_0", "3": "norm_0", "5": "conv_1", "6": "noise_1", "7": "norm_1"},
    False: {"1": "conv_0", "2": "norm_0"},
}
_GATES = {"1": "conv_0", "3": "conv_1"}
_ALONE = {
    _FIRST: ("map_4", "project"),
    "init.init.1": ("map_4", "norm"),
    "to_128": ("to_small_image",),
    "to_big": ("to_image",),
}


def generator_path(layer: str) -> tuple[str, ...]:
    """Where the parameters of the original generator's `layer` ("feat_8.1") are. Raises UserError: it has no such."""
    if layer in _ALONE:
        return _ALONE[layer]
    if found := re.fullmatch(r"feat_(\d+)\.(\d)", layer):
        name = _BLOCKS[is_composite(int(found[1]))].get(found[2])
        if name:
            return f"map_{found[1]}", name
    if (found := re.fullmatch(r"se_(\d+)\.main\.(\d)", layer)) and found[2] in _GATES:
        return f"excite_{found[1]}", _GATES[found[2]]
    raise UserError(f"these are not the weights of a FastGAN generator: {layer} has no place in one")


def kernel(weight: np.ndarray, transposed: bool = False) -> np.ndarray:
    """`weight_orig` as [kh, kw, in, out], of a transposed convolution as [in, kh, kw, out]."""
    return weight.transpose((0, 2, 3, 1) if transposed else (2, 3, 1, 0))


def vectors(tensors: dict[str, np.ndarray], weight: np.ndarray, transposed: bool = False) -> dict[str, np.ndarray]:
    """Spectral norm's {"u", "v"} from a layer's `weight_u` and `weight_v`, with its `weight_orig`."""
    v = tensors["weight_v"]
    return {"u": tensors["weight_u"], "v": v if transposed else v.reshape(weight.shape[1:]).transpose(1, 2, 0).ravel()}
