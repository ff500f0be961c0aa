"""How pictures and noise pass up the pyramid."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from siv_jax.models.singan import network
from siv_jax.models.singan.plan import REACH, Plan, Size
from siv_jax.nn import pyramid_resize
from siv_jax.nn.convolution import padded

Scales = list[dict[str, jax.Array]]  # of each finished scale, coarse to fine: flat "params" and "stats"


class Chain:
    """The finished generators of a plan.

    Pictures are float32 [B, h, w, C]. Noise of a scale is [B, h, w, C], at the coarsest scale [B, h, w, 1], which all
    channels share; with `noise_padding` it is 2 REACH larger in both directions.
    """

    def __init__(self, plan: Plan, noise_padding: bool):
        self.plan, self._noise_padding = plan, noise_padding
        self.generators = [network.make(plan.channels, width, plan.channels) for width in plan.widths]

    def noise_shape(self, scale: int, size: Size) -> tuple[int, int, int]:
        """Of one sample's noise at a scale whose pictures are of `size`."""
        ring = 2 * REACH if self._noise_padding else 0
        return size[0] + ring, size[1] + ring, 1 if scale == 0 else self.plan.channels

    def sizes(self, size: Size | None = None) -> list[Size]:
        """Sizes of all scales where the finest is of `size`; None: the plan's."""
        if size is None:
            return list(self.plan.sizes)
        rows, columns = size[0] / self.plan.height, size[1] / self.plan.width
        return [(max(1, round(height * rows)), max(1, round(width * columns))) for height, width in self.plan.sizes]

    def input(self, noise: jax.Array, amplitude: jax.Array, previous: jax.Array) -> jax.Array:
        """What a scale's network gets: noise and the previous picture, both padded."""
        noise = noise if self._noise_padding else padded(noise, REACH)
        return amplitude * noise + padded(previous, REACH)

    def generate(self, scale: int, weights: dict, noise: jax.Array, amplitude: jax.Array, previous: jax.Array):
        """A finished scale's picture, of the previous picture's size."""
        output = self.generators[scale].trained(**weights, x=self.input(noise, amplitude, previous))
        return jnp.tanh(output) + previous

    def climb(
        self,
        scales: Scales,
        amplitudes: jax.Array,
        noises: list[jax.Array],
        sizes: list[Size],
        previous: jax.Array | None = None,
        start: int = 0,
    ) -> list[jax.Array]:
        """Pictures of the scales from `start` to the last of `scales`.

        Args:
          amplitudes: [n] of the noise at each scale.
          noises: of each scale, those below `start` are not read.
          sizes: of each scale.
          previous: what scale `start` gets from the one below; None: zeros, as the coarsest scale gets.
        """
        pictures: list[jax.Array] = []
        for scale in range(start, len(scales)):
            if previous is None:
                previous = jnp.zeros((len(noises[scale]), *sizes[scale], self.plan.channels), jnp.float32)
            elif pictures:
                previous = self.enlarged(pictures[-1], sizes[scale])
            pictures.append(self.generate(scale, scales[scale], noises[scale], amplitudes[scale], previous))
        return pictures

    def enlarged(self, picture: jax.Array, size: Size) -> jax.Array:
        """A scale's picture as the next one gets it, cut to `size`.

        Where rounding leaves it smaller, it is stretched by a pixel with its padding, as run.
        """
        picture = pyramid_resize.by_factor(picture, 1 / self.plan.factor)[:, : size[0], : size[1]]
        if picture.shape[1:3] == size:
            return picture
        wide = tuple(side + 2 * REACH for side in size)
        return _stretched(padded(picture, REACH), wide)[:, REACH:-REACH, REACH:-REACH]

    def reconstruction(self, scales: Scales, amplitudes: jax.Array, z_star: jax.Array) -> jax.Array:
        """What was learnt as the scale after the last of `scales` gets it: noise z* at the coarsest, none above.

        Args:
          z_star: [N, h, w, 1], of each frame.
        """
        last = len(scales) - 1
        still = [jnp.zeros((1, *self.noise_shape(i, self.plan.sizes[i])), jnp.float32) for i in range(1, last + 1)]

        def of_frame(z_star: jax.Array) -> jax.Array:
            pictures = self.climb(scales, amplitudes, [z_star[None], *still], self.plan.sizes)
            return self.enlarged(pictures[-1], self.plan.sizes[last + 1])[0]

        return jax.lax.map(of_frame, z_star)  # one after another: the features of all frames would fill the memory

    def injected(self, image: jax.Array, scale: int, size: Size) -> jax.Array:
        """What scale `scale`, 1 or more, gets in the place of the picture from below; `size` is the finest scale's."""
        if image.shape[1:3] != size:
            image = pyramid_resize.to_size(image, size)
        below, here = (self.sizes(size)[i] for i in (scale - 1, scale))
        coarse = pyramid_resize.by_factor(image, math.pow(self.plan.factor, self.plan.finest - scale + 1))
        return self.enlarged(coarse[:, : below[0], : below[1]], here)


def _stretched(picture: jax.Array, size: Size) -> jax.Array:
    """Bilinear, corners on corners."""

    def matrix(length: int, out: int) -> np.ndarray:
        place = np.arange(out) * ((length - 1) / max(1, out - 1))
        return np.maximum(0, 1 - np.abs(place[:, None] - np.arange(length))).astype(np.float32)

    rows, columns = (matrix(*pair) for pair in zip(picture.shape[1:3], size, strict=True))
    return jnp.einsum("ph,nhwc,qw->npqc", rows, picture, columns, precision=jax.lax.Precision.HIGHEST)
