"""What the first stage is given: noise, or the picture changed, and what the reconstruction starts from, by mode."""

import jax
import numpy as np

from siv_jax.models.consingan import color_augment, tile_shuffle

EDITING_NOISE = 0.1  # that is added to the pictures of the mode editing
UNIFORMS = max(color_augment.UNIFORMS, tile_shuffle.UNIFORMS)


def fixed(rng: np.random.Generator, frames: np.ndarray, mode: str) -> np.ndarray:
    """What the frames [N, h, w, C] at the first stage's size are rebuilt from: themselves, or noise for animation."""
    if mode == "animation":
        return rng.standard_normal(frames.shape, np.float32)
    if mode == "editing":
        return frames + np.float32(EDITING_NOISE) * rng.standard_normal(frames.shape, np.float32)
    return np.array(frames)


def random(noise: jax.Array, frames: jax.Array, uniform: jax.Array, mode: str) -> jax.Array:
    """The input of a training step [B, h, w, C]: `noise`, or for harmonization and editing `frames` changed.

    Args:
      noise: normal [B, h, w, C].
      frames: [B, h, w, C] in [-1, 1].
      uniform: [B, UNIFORMS] in [0, 1).
    """
    if mode == "harmonization":
        return jax.vmap(color_augment.augment)(uniform[:, : color_augment.UNIFORMS], noise, frames)
    if mode == "editing":
        shuffled = jax.vmap(tile_shuffle.augment)(uniform[:, : tile_shuffle.UNIFORMS], frames)
        return of_image(shuffled, noise, mode)
    return noise


def of_image(image: jax.Array, noise: jax.Array, mode: str) -> jax.Array:
    """The input for an image [n, h, w, C] to be edited or harmonized; only editing adds noise."""
    return image + EDITING_NOISE * noise if mode == "editing" else image
