"""The training of SIV-GAN: one stage, whose step is the generator's turn, then the discriminator's."""

import jax
import numpy as np

from siv_jax.data import Source
from siv_jax.models.siv_gan.config import Config
from siv_jax.models.siv_gan.objectives import Draws, Players
from siv_jax.nn import flat, image_augment
from siv_jax.nn.frames import choose_frames, to_float
from siv_jax.nn.two_branch import training
from siv_jax.nn.two_branch.discriminator import content_channels
from siv_jax.nn.two_branch.plan import Plan


class Training(training.Training):
    """The only stage of SIV-GAN (a `siv_jax.models.interface.Stage`)."""

    players = Players

    def data(self, source: Source) -> np.ndarray:
        """The frames [N, H, W, C] at the plan's size, uint8 or float32 in [-1, 1]."""
        return source.resized(self._plan.height, self._plan.width)

    def _frames(self, data: np.ndarray) -> np.ndarray:
        return data

    def _draws(self, key: jax.Array, data: jax.Array, step: jax.Array) -> Draws:
        return draw(key, self._plan, self._config, data.shape[0])

    def _reals(self, draws: Draws, data: jax.Array) -> jax.Array:
        return to_float(choose_frames(draws.frames, data, self._config.batch_size))


def draw(key: jax.Array, plan: Plan, config: Config, num_frames: int) -> Draws:
    """The randomness of one step, from two calls of the generator."""
    batch, noise_dim = config.batch_size, config.model.noise_dim
    channels = content_channels(plan, config.model)
    normal = jax.random.normal(jax.random.fold_in(key, 0), (3, batch, noise_dim))
    shapes = {
        "warp_g": (batch, image_augment.UNIFORMS),
        "warp_d": (2 * batch, image_augment.UNIFORMS),
        "mix_content": (batch, channels + 4),
        "mix_layout": (batch, 5),
        "frames": (num_frames,),
    }
    uniform = flat.drawn(jax.random.uniform, jax.random.fold_in(key, 1), shapes)
    return Draws(z_g=normal[0], z_d=normal[1], z_moved=normal[2], **uniform)
