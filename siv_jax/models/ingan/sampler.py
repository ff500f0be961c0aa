"""Samples of InGAN: a picture, or a part of it, brought to another size and shape."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from siv_jax.models.ingan import geometry, network
from siv_jax.models.ingan.config import Config
from siv_jax.models.ingan.generator import generate
from siv_jax.models.ingan.plan import SMALLEST_OUTPUT, Plan, output_side
from siv_jax.models.interface import Samples
from siv_jax.nn.frames import to_float

_MOST_SHIFT = 0.9  # of |s0 + s1|: at 1 a picture folds over
_FEWEST_PIXELS = 4  # of a side that can be mirrored


class Sampler:
    """The generator (a `siv_jax.models.interface.Sampler`).

    A retargeting model starts from a picture, not from noise alone. What a sample's noise says, seven numbers, is which
    part of the picture it starts from and what shape it takes: scale of height and of width (1 is the whole side, 2
    half of it), place of that part (0 at the top, 1 at the bottom; 0 left, 1 right), both shifts, and which frame of a
    clip (0 the first, 1 the last). So a sample shows a part of the picture grown to the size of the whole, its elements
    at their own size: fewer kinds of things, and more of each. Sample 0 of every seed is the whole picture without
    shifts; with a `size` that is its retargeting. An image that is given is always taken whole.
    """

    num_scales = 1
    tasks = frozenset({"size", "image"})

    def __init__(self, plan: Plan, config: Config):
        self._plan, self._transform = plan, config.transform
        self._generator = network.of_generator(plan, config.model)

    def noise(self, seed: int, start: int, count: int, size: tuple[int, int] | None = None) -> np.ndarray:
        """float32 [count, 7], uniform: scales from 1 to transform.max_scale, places, shifts, frame; see the class."""
        key = jax.random.key(seed, impl="threefry2x32")
        numbers = jnp.arange(start, start + count)
        return np.asarray(_noise(key, numbers, self._transform.max_scale, self._transform.max_shift))

    def draw(
        self,
        weights: dict,
        noise: jax.Array,
        size: tuple[int, int] | None = None,
        image: jax.Array | None = None,
        start_scale: int = 0,
    ) -> Samples:
        """Pictures of `size` (None: the plan's) for noise [n, 7], from parts of the picture learnt or from `image`.

        They are made at the next larger multiples of 8 (as the plan has it) and brought to `size` bilinearly. Each has
        its own batch statistics, as in training with a batch of 1. Scales under 1 count as 1, and shifts whose sum
        would fold the picture over are reduced.
        """
        size = size or (self._plan.height, self._plan.width)
        made = tuple(output_side(side, self._plan.multiple) for side in size)
        tree = self._generator.normalized(weights["params_g"], weights["vectors_g"])
        if image is None:
            inputs = (noise,)
            draw = functools.partial(self._from_part, tree, weights["pictures"], made)
        else:
            inputs = noise, image
            draw = functools.partial(self._from_whole, tree, made)
        images = jax.lax.map(lambda one: draw(*one), inputs)
        if made != size:
            images = jax.image.resize(images, (len(noise), *size, images.shape[-1]), "linear").clip(-1.0, 1.0)
        return Samples(images)

    def _from_part(self, tree: dict, pictures: jax.Array, made: tuple[int, int], noise: jax.Array) -> jax.Array:
        number = (jnp.clip(noise[6], 0.0, 1.0) * (len(pictures) - 1)).round().astype(jnp.int32)
        picture = to_float(jax.lax.dynamic_index_in_dim(pictures, number, keepdims=False))
        sides = jnp.array(picture.shape[:2], jnp.float32)
        least = jnp.minimum(jnp.float32(SMALLEST_OUTPUT), sides)
        part = jnp.clip(jnp.round(sides / jnp.maximum(noise[:2], 1.0)), least, sides)
        corner = jnp.round((sides - part) * jnp.clip(noise[2:4], 0.0, 1.0)).astype(jnp.int32)
        # The part is brought to the upper left of its canvas; what stands behind it is not looked at.
        part_there = jnp.roll(picture, -corner, axis=(0, 1))[None]
        extent = tuple(part.astype(jnp.int32))
        return self._made(tree, part_there, extent, made, noise[4:6])

    def _from_whole(self, tree: dict, made: tuple[int, int], noise: jax.Array, image: jax.Array):
        height, width = (max(side, _FEWEST_PIXELS) for side in image.shape[:2])
        image = jax.image.resize(image, (height, width, image.shape[-1]), "linear")
        return self._made(tree, image[None], (height, width), made, noise[4:6])

    def _made(self, tree: dict, image: jax.Array, extent, made: tuple[int, int], shifts: jax.Array) -> jax.Array:
        total = jnp.abs(jnp.sum(shifts))
        shifts = shifts * jnp.minimum(1.0, _MOST_SHIFT / jnp.maximum(total, 1e-6))
        layer = functools.partial(geometry.transformed, extent=extent, canvas_size=made, wanted=made, shifts=shifts)
        return generate(tree, image, extent, layer, made)[0]


@functools.partial(jax.jit, static_argnums=(2, 3))
def _noise(key: jax.Array, numbers: jax.Array, max_scale: float, max_shift: float) -> jax.Array:
    def one(number):
        uniform = jax.random.uniform(jax.random.fold_in(key, number), (7,))
        low = jnp.array([1.0, 1.0, 0.0, 0.0, -max_shift, -max_shift, 0.0])
        high = jnp.array([max_scale, max_scale, 1.0, 1.0, max_shift, max_shift, 1.0])
        whole = jnp.array([1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0])
        return jnp.where(number == 0, whole, low + (high - low) * uniform)

    return jax.vmap(one)(numbers)
