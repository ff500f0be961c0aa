"""The two networks of SIV-GAN."""

import jax
import jax.numpy as jnp

from siv_jax.models.siv_gan.config import ModelConfig
from siv_jax.models.siv_gan.discriminator import Discriminator
from siv_jax.nn.two_branch.generator import Generator
from siv_jax.nn.two_branch.network import Network, image_shapes, network
from siv_jax.nn.two_branch.plan import Plan


def generator(plan: Plan, model: ModelConfig, dtype: jnp.dtype = jnp.float32) -> Network:
    """The generator; it takes z [B, noise_dim], see `Generator`."""
    return network(Generator(plan, model, dtype), jax.ShapeDtypeStruct((1, model.noise_dim), jnp.float32))


def discriminator(plan: Plan, model: ModelConfig, dtype: jnp.dtype = jnp.float32) -> Network:
    """The discriminator; it takes images at its low-level scales, see `Discriminator`."""
    return network(Discriminator(plan, model, dtype), image_shapes(plan))
