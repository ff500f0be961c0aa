"""Training frames on the device: which of them a step or a sample sees, and as what."""

import jax
import jax.numpy as jnp


def choose_frames(order: jax.Array, frames: jax.Array, batch: int) -> jax.Array:
    """`batch` frames of `frames` [N, ...]: those with the lowest `order` [N], again from the first if N < batch."""
    count = frames.shape[0]
    if count == 1:
        return jnp.broadcast_to(frames, (batch, *frames.shape[1:]))
    return frames[jnp.argsort(order)[jnp.arange(batch) % count]]


def frame_of_each(noise: jax.Array, frames: jax.Array) -> jax.Array:
    """One of `frames` [N, ...] for each sample, equally often, by the first value of its normal noise [n, length]."""
    place = (jax.scipy.special.ndtr(noise[:, 0]) * len(frames)).astype(jnp.int32)
    return frames[jnp.minimum(place, len(frames) - 1)]


def to_float(frames: jax.Array) -> jax.Array:
    """uint8 0..255 to float32 -1..1; float frames pass as they are."""
    return frames.astype(jnp.float32) / 127.5 - 1.0 if frames.dtype == jnp.uint8 else frames
