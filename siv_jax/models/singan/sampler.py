"""Samples of SinGAN: one flat vector of noise for all scales in, pictures out."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from siv_jax.errors import UserError
from siv_jax.models.interface import Samples
from siv_jax.models.singan.chain import Chain
from siv_jax.models.singan.config import ModelConfig
from siv_jax.models.singan.plan import Plan, Size, enlarging_steps
from siv_jax.nn import flat, numbered_noise, pyramid_resize
from siv_jax.nn.frames import frame_of_each
from siv_jax.nn.walk import walk

FIRST_STEP = 0.05  # share of new noise in the first position of a walk


class Sampler:
    """The pyramid of generators (a `siv_jax.models.interface.Sampler`).

    While training goes on the finest scale that there is gives the picture, enlarged to the size asked for.
    """

    def __init__(self, plan: Plan, model: ModelConfig):
        self._plan, self._chain = plan, Chain(plan, model.noise_padding)
        self.num_scales = len(plan.sizes)
        self.tasks = frozenset({"size", "image", "start_scale", "animation"})
        if model.upscale:
            self.tasks |= {"super_resolution"}

    def noise(self, seed: int, start: int, count: int, size: Size | None = None) -> np.ndarray:
        """float32 [count, length] from N(0, I): the noise of all scales for samples of `size`, coarse to fine."""
        return numbered_noise.normal(seed, start, count, sum(map(math.prod, self._shapes(size))))

    def draw(
        self,
        weights: dict,
        noise: jax.Array,
        size: Size | None = None,
        image: jax.Array | None = None,
        start_scale: int = 0,
    ) -> Samples:
        """See `siv_jax.models.interface.Sampler`. Of a clip, each sample with a start scale has some frame's layout.

        Raises:
          UserError: an image at scale 0, which gets none from below.
        """
        if image is not None and size is not None and self._enlarges(image, size):
            return Samples(self.enlarged(weights, image, size, self._steps_noise(noise, image, size)).clip(-1, 1))
        native = size is None or tuple(size) == self._plan.sizes[-1]
        size = self._plan.sizes[-1] if native else tuple(size)
        noises = self.split(noise, size)
        if image is not None:
            if start_scale == 0:
                raise UserError("an image is put in at start_scale 1 or above: scale 0 of this model gets none")
            previous = self._chain.injected(image, start_scale, size)
            picture = self._from(weights, noises, size, start_scale, previous)
        elif start_scale and native:
            still = frame_of_each(noise, weights["z_star"])
            noises = [still, *map(jnp.zeros_like, noises[1:start_scale]), *noises[start_scale:]]
            picture = self._from(weights, noises, size, 0, None)
        elif start_scale:
            known = weights["scales"][:start_scale]
            layouts = self._chain.reconstruction(known, weights["amplitudes"], weights["z_star"])
            layouts = pyramid_resize.to_size(layouts, self._chain.sizes(size)[min(start_scale, len(known))])
            layout = frame_of_each(noise, layouts)
            picture = self._from(weights, noises, size, start_scale, layout)
        else:
            picture = self._from(weights, noises, size, 0, None)
        return Samples(picture.clip(-1, 1))

    def animation(
        self, weights: dict, seed: int, count: int, start_scale: int, strength: float, smoothness: float
    ) -> np.ndarray:
        """float32 [count, length]: noise of a walk about z*, of a clip that of some frame, see `walk`."""
        steps, z_star = self.noise(seed, 0, count + 1), np.asarray(weights["z_star"])
        still, chosen = np.zeros_like(steps[0]), np.random.default_rng([seed, count]).integers(len(z_star))
        still[: z_star[0].size] = np.ravel(z_star[chosen])
        start = sum(map(math.prod, self._shapes(None)[:start_scale]))
        return walk(still, steps, start, FIRST_STEP, strength, smoothness)

    def split(self, noise: jax.Array, size: Size | None = None) -> list[jax.Array]:
        """Noise [n, length] as that of each scale, [n, h, w, C]."""
        return flat.cut(noise, self._shapes(size))

    def pictures(self, weights: dict, noises: list[jax.Array], size: Size, start: int, previous: jax.Array | None):
        """Pictures of all scales from `start` on, not clipped; see `Chain.climb`."""
        sizes = self._chain.sizes(size)
        return self._chain.climb(weights["scales"], weights["amplitudes"], noises, sizes, previous, start)

    def enlarged(self, weights: dict, image: jax.Array, size: Size, noises: list[jax.Array]) -> jax.Array:
        """An image enlarged to `size`, not clipped: resized and passed by the finest generator, again and again.

        Args:
          noises: of each step, see `steps_shapes`.
        """
        scale, steps = len(weights["scales"]) - 1, len(noises)
        factors = tuple(math.pow(out / side, 1 / steps) for out, side in zip(size, image.shape[1:3], strict=True))
        for noise in noises:
            image = pyramid_resize.by_factor(image, factors)
            amplitude = weights["amplitudes"][scale]
            image = self._chain.generate(scale, weights["scales"][scale], noise, amplitude, image)
        return image[:, : size[0], : size[1]]

    def steps_shapes(self, image_size: Size, size: Size) -> list[tuple[int, int, int]]:
        """Shapes of one sample's noise in each step from `image_size` to `size`; the first has one channel, as run."""
        steps = enlarging_steps(max(out / side for out, side in zip(size, image_size, strict=True)))
        factors = tuple(math.pow(out / side, 1 / steps) for out, side in zip(size, image_size, strict=True))
        shapes = []
        for number in range(steps):
            image_size = pyramid_resize.scaled_size(*image_size, factors)
            shapes.append(self._chain.noise_shape(number, image_size))
        return shapes

    def _steps_noise(self, noise: jax.Array, image: jax.Array, size: Size) -> list[jax.Array]:
        """The noise vector cut into that of the steps; where it is too short, it begins anew."""
        shapes = self.steps_shapes(image.shape[1:3], size)
        length = sum(map(math.prod, shapes))
        return flat.cut(jnp.tile(noise, (1, -(-length // noise.shape[1])))[:, :length], shapes)

    def _enlarges(self, image: jax.Array, size: Size) -> bool:
        return "super_resolution" in self.tasks and any(b > a for a, b in zip(image.shape[1:3], size, strict=True))

    def _shapes(self, size: Size | None) -> list[tuple[int, int, int]]:
        return [self._chain.noise_shape(i, side) for i, side in enumerate(self._chain.sizes(size))]

    def _from(self, weights, noises, size: Size, start: int, previous: jax.Array | None) -> jax.Array:
        """The picture, of the plan's finest scale or of `size`, also where scales are still missing."""
        pictures = self.pictures(weights, noises, size, start, previous)
        picture = pictures[-1] if pictures else previous
        return picture if picture.shape[1:3] == size else pyramid_resize.to_size(picture, size)
