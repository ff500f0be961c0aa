"""Weights of the original PyTorch implementation, under its own names, as sampling weights of this package."""

import numpy as np

from siv_jax.data.source import Source
from siv_jax.models.siv_gan import network
from siv_jax.models.siv_gan.config import Config
from siv_jax.nn.original_tensors import Tensors
from siv_jax.nn.two_branch import original_weights
from siv_jax.nn.two_branch.plan import Plan

NETWORK = "a SIV-GAN generator"


def import_weights(
    tensors: Tensors, config: Config, source: Source | None
) -> tuple[Config, Plan, dict[str, np.ndarray]]:
    """Settings, plan and sampling weights of a generator's state_dict; names may carry a common prefix.

    Args:
      tensors: by name, such as `body.0.conv1.weight_orig`.
      config: settings; those that the weights tell are replaced.
      source: the picture that was learnt, which is not needed.

    Raises UserError: these are not the weights of one SIV-GAN generator.
    """
    params, vectors = original_weights.generator(original_weights.without_prefix(tensors, NETWORK), NETWORK)
    plan = original_weights.plan_of(params)
    return original_weights.imported(params, vectors, plan, config, network.generator, NETWORK)
