"""Weights of the original PyTorch implementation, under its own names, as sampling weights of this package."""

import dataclasses

import numpy as np

from siv_jax.data.source import Source
from siv_jax.models.osmis import networks
from siv_jax.models.osmis.config import Config
from siv_jax.nn import original_tensors
from siv_jax.nn.original_tensors import Tensors, taken
from siv_jax.nn.two_branch import original_weights

NETWORK = "an OSMIS generator"
_MASK = "mask_converter"


def import_weights(
    tensors: Tensors, config: Config, source: Source | None
) -> tuple[Config, networks.Plan, dict[str, np.ndarray]]:
    """Settings, plan and sampling weights of a generator's state_dict; names may carry a common prefix.

    Args:
      tensors: by name, such as `body.0.conv1.weight_orig` and `mask_converter.weight`.
      config: settings; those that the weights tell are replaced.
      source: the picture that was learnt, which is not needed.

    Raises UserError: these are not the weights of one OSMIS generator.
    """
    params, vectors = generator(original_weights.without_prefix(tensors, NETWORK))
    plan = networks.Plan(
        **dataclasses.asdict(original_weights.plan_of(params)), num_classes=params["to_mask"]["bias"].size
    )
    return original_weights.imported(params, vectors, plan, config, networks.make_generator, NETWORK)


def generator(tensors: Tensors) -> tuple[dict, dict]:
    """(params, vectors) of a generator's state_dict: SIV-GAN's, and the mask's convolution, without spectral norm.

    Raises UserError: these are not the weights of such a generator; says what is missing or left over.
    """
    tensors = dict(tensors)
    head = {"kernel": original_tensors.kernel(taken(tensors, f"{_MASK}.weight", 4, NETWORK))}
    head["bias"] = taken(tensors, f"{_MASK}.bias", 1, NETWORK)
    params, vectors = original_weights.generator(tensors, NETWORK)
    return params | {"to_mask": head}, vectors
