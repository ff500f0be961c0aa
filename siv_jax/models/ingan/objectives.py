"""The objectives of both players as functions of their parameter vectors."""

import functools

import jax
import jax.numpy as jnp

from siv_jax.models.ingan import canvas, discriminator, geometry, network
from siv_jax.models.ingan.canvas import Extent
from siv_jax.models.ingan.config import Config
from siv_jax.models.ingan.crop_swap import Swap
from siv_jax.models.ingan.generator import generate
from siv_jax.models.ingan.plan import Plan

Metrics = dict[str, jax.Array]


class Players:
    """The generator and the discriminator with what each of them minimises.

    Outputs have a traced extent on a canvas, the crops the plan's sizes.

    Attributes:
      generator, discriminator: networks.
    """

    def __init__(self, plan: Plan, config: Config):
        self._plan, self._config = plan, config
        self.generator = network.of_generator(plan, config.model)
        self.discriminator = network.of_discriminator(plan, config.model)

    def transformed(
        self,
        params: jax.Array,
        vectors: jax.Array,
        crops: jax.Array,
        canvas_size: tuple[int, int],
        wanted: Extent,
        shifts: jax.Array | None,
    ) -> jax.Array:
        """G(crops) [B, *canvas_size, C] for crops [B, h, w, C] that fill their array."""
        extent = crops.shape[1:3]
        layer = functools.partial(
            geometry.transformed, extent=extent, canvas_size=canvas_size, wanted=wanted, shifts=shifts
        )
        return generate(self.generator.normalized(params, vectors), crops, extent, layer, wanted)

    def way_back(
        self, params: jax.Array, vectors: jax.Array, fakes: jax.Array, extent: Extent, shifts: jax.Array | None
    ) -> tuple[jax.Array, jax.Array]:
        """G of the fakes, brought back to the crops' size and shape, and where the fakes still showed the crops."""
        size = self._plan.crop_height, self._plan.crop_width
        tree, seen = self.generator.normalized(params, vectors), jnp.ones((1, *size, 1), jnp.float32)
        layer = functools.partial(geometry.transformed, extent=extent, canvas_size=size, wanted=size)
        if shifts is None or self._config.loss.inverse == "as_run":
            shifts = None if shifts is None else -shifts
            return generate(tree, fakes, extent, functools.partial(layer, shifts=shifts), size), seen
        exact = functools.partial(geometry.restored, extent=extent, size=size, shifts=shifts)
        seen = exact(jnp.zeros((1, *fakes.shape[1:3], 1), jnp.float32))[1]
        return generate(tree, fakes, extent, lambda features: exact(features)[0], size), seen

    def reconstruction(
        self,
        params: jax.Array,
        vectors: jax.Array,
        fakes: jax.Array,
        extent: Extent,
        shifts: jax.Array | None,
        crops: jax.Array,
        swap: Swap | None = None,
    ) -> jax.Array:
        """How far the way back strays from the crops: mean absolute or squared difference, squared of swapped crops."""
        back, counted = self.way_back(params, vectors, fakes, extent, shifts)
        difference, square = back - crops, jnp.square(back - crops)
        difference = jnp.abs(difference) if self._config.loss.reconstruction == "l1" else square
        if swap is not None:
            difference = jnp.where(swap.swapped[:, None, None, None], square, difference)
            counted = counted * swap.counted
        sums = jnp.mean(jnp.mean(difference, axis=3, keepdims=True) * counted, axis=(1, 2, 3))
        return jnp.mean(sums / jnp.maximum(jnp.mean(counted, axis=(1, 2, 3)), 1e-6))

    def score(
        self, params: jax.Array, vectors: jax.Array, images: jax.Array, extent: Extent, weights: jax.Array, real: bool
    ) -> jax.Array:
        """LSGAN: mean squared distance of D's map from 1 (real) or 0."""
        tree = self.discriminator.normalized(params, vectors)
        scores, of_map = discriminator.discriminate(tree, images, extent, weights, self._config.model.scale_factor_d)
        return canvas.mean(jnp.square(scores - 1 if real else scores), of_map)[0]

    def generator_objective(
        self,
        params_g: jax.Array,
        params_d: jax.Array,
        vectors_g: tuple[jax.Array, jax.Array],
        vectors_d: jax.Array,
        crops: jax.Array,
        noise: jax.Array,
        canvas_size: tuple[int, int],
        wanted: Extent,
        shifts: jax.Array | None,
        weights: jax.Array,
        swap: Swap | None = None,
    ) -> tuple[jax.Array, tuple[jax.Array, Metrics]]:
        """Loss of the generator, its fakes [B, *canvas_size, C], and metrics.

        Args:
          vectors_g: spectral-norm vectors of the way there and of the way back.
          crops: [B, h, w, C]; `noise` is added to what the generator sees of them.
          weights: of the scales, see `discriminator.scale_weights`.
          swap: what was swapped in the crops, if anything ever is.
        """
        there, back = vectors_g
        fakes = self.transformed(params_g, there, crops + noise, canvas_size, wanted, shifts)
        adversarial = self.score(params_d, vectors_d, fakes, wanted, weights, real=True)
        reconstruction = self.reconstruction(params_g, back, fakes, wanted, shifts, crops, swap)
        weighted = self._config.loss.reconstruction_weight * reconstruction
        total = adversarial + weighted
        return total, (fakes, {"loss_g": total, "loss_g/adversarial": adversarial, "loss_g/reconstruction": weighted})
