"""The gradient penalty of SinGAN and ConSinGAN, after WGAN-GP (Gulrajani et al., 2017)."""

from collections.abc import Callable

import jax
import jax.numpy as jnp


def gradient_penalty(
    discriminate: Callable[[jax.Array], jax.Array], real: jax.Array, fake: jax.Array, alpha: jax.Array
) -> jax.Array:
    """float32 []: mean over pixels of (||g(pixel)|| - 1)^2, g the gradient of the summed map, the norm over channels.

    As run: one norm for each pixel, where WGAN-GP has one for the picture; the fakes get no gradient.

    Args:
      discriminate: pictures to a map of any shape; differentiable twice.
      real, fake: pictures [N, H, W, C].
      alpha: [], uniform in [0, 1): the share of the real pictures in the mix where the gradient is taken.
    """
    mixed = alpha * real + (1 - alpha) * jax.lax.stop_gradient(fake)
    slopes = jax.grad(lambda images: discriminate(images).sum())(mixed)
    squares = jnp.sum(jnp.square(slopes), axis=-1)
    # The norm has no gradient at 0; there, as in PyTorch, none passes.
    norms = jnp.where(squares > 0, jnp.sqrt(jnp.where(squares > 0, squares, 1)), 0)
    return jnp.mean(jnp.square(norms - 1))
