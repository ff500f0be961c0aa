"""How far samples differ from each other, measured by how far views of the training frames do."""

import jax
import jax.numpy as jnp
import numpy as np

from siv_jax.nn import image_augment

_VIEWS = 32
# Views are flipped, shifted sideways and cropped, each with this probability: scenes such as a new sample may show.
_PROBABILITY = 0.5


def pairwise_rms(images: jax.Array) -> jax.Array:
    """Mean over unordered pairs of the root of the mean squared difference; images [B, H, W, C], B >= 2."""
    count = images.shape[0]
    above = jnp.triu(jnp.ones((count, count), bool), 1)
    differences = images[:, None] - images[None]
    distances = jnp.sqrt(jnp.mean(jnp.square(differences), axis=tuple(range(2, differences.ndim))))
    return jnp.sum(jnp.where(above, distances, 0.0)) / (count * (count - 1) / 2)


def of_views(frames: np.ndarray) -> float:
    """`pairwise_rms` of views of the frames [N, H, W, C], uint8 or float32 in [-1, 1]; the same in every call."""
    frames = frames.astype(np.float32) / 127.5 - 1 if frames.dtype == np.uint8 else frames
    rng = np.random.default_rng(0)
    uniform = rng.random((_VIEWS, image_augment.UNIFORMS), np.float32)
    uniform[:, [2, 4]] = 1.0  # no vertical shift, which moves the horizon, and no zoom
    uniform[:, 5] = 1.0  # crops, not rotations
    chosen = frames[rng.integers(len(frames), size=_VIEWS)]
    with jax.ensure_compile_time_eval():  # a number also where a state's shapes are traced
        return float(_spread_seen_through(jnp.asarray(chosen), jnp.asarray(uniform)))


@jax.jit
def _spread_seen_through(frames: jax.Array, uniform: jax.Array) -> jax.Array:
    maps = image_augment.draw(uniform, _PROBABILITY, *frames.shape[1:3])
    return pairwise_rms(image_augment.warp(frames, maps))
