"""How much memory training takes, known before anything is compiled."""

import functools

import jax
import numpy as np

from siv_jax.models.fastgan import network
from siv_jax.models.fastgan.config import Config, ModelConfig
from siv_jax.models.fastgan.plan import Plan


def estimate(config: Config, plan: Plan, num_frames: int, shards: int = 1) -> int:
    return 0


@functools.cache  # tracing the networks takes a while
def parameters(plan: Plan, model: ModelConfig) -> tuple[int, int]:
    """Numbers of parameters of the generator and the discriminator."""
    return tuple(
        sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(make(plan, model).shapes))
        for make in (network.generator, network.discriminator)
    )
