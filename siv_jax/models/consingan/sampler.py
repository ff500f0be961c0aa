"""Samples of ConSinGAN (a `siv_jax.models.interface.Sampler`)."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from siv_jax.errors import UserError
from siv_jax.models.consingan import first_noise, parts
from siv_jax.models.consingan.config import ModelConfig
from siv_jax.models.consingan.plan import Plan, Size
from siv_jax.models.interface import Samples
from siv_jax.nn import flat, numbered_noise, pyramid_resize
from siv_jax.nn.frames import frame_of_each
from siv_jax.nn.walk import walk

FIRST_STEP = 0.01  # share of new noise in the first position of a walk
_OF_IMAGES = ("harmonization", "editing")


class Sampler:
    """The generator with all the stages that its weights have; unfinished ones are brought to the size asked for.

    The noise of a sample is one vector: the noises of all stages, coarse to fine, for the sizes of `stage_sizes`.
    """

    def __init__(self, plan: Plan, model: ModelConfig):
        self.num_scales = plan.num_stages
        # At stage 0 a model for animation has learnt noise, the others have learnt the picture.
        self.tasks = frozenset({"size", "start_scale", "animation" if model.mode == "animation" else "image"})
        self._plan, self._model = plan, model
        self._generator = parts.Generator(model, plan.channels)

    def noise(self, seed: int, start: int, count: int, size: Size | None = None) -> np.ndarray:
        """Normal float32 [count, values]; each depends on the seed and its own number alone."""
        return numbered_noise.normal(seed, start, count, sum(map(math.prod, self._shapes(size))))

    def draw(
        self,
        weights: dict,
        noise: jax.Array,
        size: Size | None = None,
        image: jax.Array | None = None,
        start_scale: int = 0,
    ) -> Samples:
        """Samples for noise [n, values] of the same `size`.

        An image, brought to the first stage's size, always enters at stage 0, in place of the noise there; stages 1 to
        start_scale - 1 then have the noise that rebuilds the picture, and so have all others in a model for
        harmonization or editing, as it was trained for. Of a clip each sample has some frame's. The latter adds a tenth
        of the noise to the image. That noise is of the picture's size alone: samples of another size have their own
        from stage 1 on, which changes little.

        Raises:
          UserError: a model for animation is to start from the picture at another size: it knows it as noise.
        """
        plan, wanted = self._plan, tuple(size or (self._plan.height, self._plan.width))
        stages, native = len(weights["fixed"]), wanted == (plan.height, plan.width)
        noises = flat.cut(noise, self._shapes(size))
        first, noises = noises[0], noises[:stages]
        known = self.num_scales if image is not None and self._model.mode in _OF_IMAGES else start_scale
        for stage in range(1, min(known, stages) if native else 0):
            noises[stage] = jnp.broadcast_to(weights["fixed"][stage], noises[stage].shape)
        if image is not None:
            image = pyramid_resize.to_size(image, first.shape[1:3], self._model.as_run)
            noises[0] = first_noise.of_image(image, first, self._model.mode)
        elif known and native:
            noises[0] = frame_of_each(noise, weights["fixed"][0])
        elif known and "image" in self.tasks:
            known_first = frame_of_each(noise, weights["fixed"][0])
            noises[0] = pyramid_resize.to_size(known_first, first.shape[1:3], self._model.as_run)
        elif known:
            raise UserError(
                f"samples of {wanted[1]}x{wanted[0]} cannot start from the picture, which a model for animation knows "
                f"as noise of {plan.width}x{plan.height}: leave the size out, or start from scale 0"
            )
        images = self._generator(weights["generator"], weights["amplitudes"], noises)
        if images.shape[1:3] != wanted:
            images = jax.image.resize(images, (len(images), *wanted, images.shape[-1]), "linear")
        return Samples(images)

    def animation(
        self, weights: dict, seed: int, count: int, start_scale: int, strength: float, smoothness: float
    ) -> np.ndarray:
        """Noise float32 [count, values] of the frames of a walk, see `walk`; of a clip it stays close to one frame.

        Weights of an unfinished training give walks of the stages that they have; the noise of the others is zero.
        """
        rng = np.random.default_rng([seed, count])
        shapes = self._shapes(None)
        fixed = [np.asarray(noise) for noise in weights["fixed"]]
        fixed[0] = fixed[0][rng.integers(len(fixed[0]))]
        fixed += [np.zeros(shape, np.float32) for shape in shapes[len(fixed) :]]
        draws = [[rng.standard_normal(shape, np.float32) for shape in shapes] for _ in range(count + 1)]
        steps, start = np.stack(list(map(flat.joined, draws))), sum(map(math.prod, shapes[:start_scale]))
        shares = map(np.float32, (FIRST_STEP, strength, smoothness))  # as run: 1 - a share is rounded to float32, too
        return walk(flat.joined(fixed), steps, start, *shares)

    def stage_sizes(self, size: Size | None = None) -> list[Size]:
        """(height, width) of every stage's pictures, for samples of `size`: scaled as the last one, truncated."""
        plan = self._plan
        if size is None or tuple(size) == (plan.height, plan.width):
            return list(plan.sizes)
        sizes = scaled_sizes(plan, (size[0] / plan.height, size[1] / plan.width))
        return [*sizes[:-1], tuple(size)]

    def _shapes(self, size: Size | None) -> list[tuple[int, int, int]]:
        return self._generator.noise_shapes(self.stage_sizes(size))


def scaled_sizes(plan: Plan, factors: tuple[float, float]) -> list[Size]:
    """Sizes of all stages times the factors of (height, width), truncated (as run), at least 1."""
    rows, columns = factors
    return [(max(1, int(height * rows)), max(1, int(width * columns))) for height, width in plan.sizes]
