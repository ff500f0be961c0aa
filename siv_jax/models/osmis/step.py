"""The training of OSMIS: one stage, whose step is the generator's turn, then the discriminator's."""

import jax
import jax.numpy as jnp
import numpy as np

from siv_jax.data import Source
from siv_jax.models.osmis import layout_augment, networks, pair_augment
from siv_jax.models.osmis.config import Config
from siv_jax.models.osmis.objectives import Draws, Pairs, Players
from siv_jax.nn import flat
from siv_jax.nn.frames import choose_frames, to_float
from siv_jax.nn.two_branch import training
from siv_jax.nn.two_branch.discriminator import content_channels

Data = dict[str, np.ndarray]


class Training(training.Training):
    """The only stage of OSMIS (a `siv_jax.models.interface.Stage`)."""

    players = Players

    def data(self, source: Source) -> Data:
        """At the plan's size: frames [N, H, W, C], uint8 or float32 in [-1, 1], and masks uint8 [N, H, W, M].

        A mask is 255 where the class is; pixels that it leaves unlabelled are 0 in every class.
        """
        height, width = self._plan.height, self._plan.width
        return {"frames": source.resized(height, width), "masks": source.masks.channels(height, width)}

    def _frames(self, data: Data) -> np.ndarray:
        return data["frames"]

    def _draws(self, key: jax.Array, data: Data, step: jax.Array) -> Draws:
        by_chance = step < self._config.mask.bernoulli_steps
        return draw(key, self._plan, self._config, data["frames"].shape[0], by_chance)

    def _reals(self, draws: Draws, data: Data) -> Pairs:
        batch = self._config.batch_size
        frames, masks = (choose_frames(draws.frames, data[name], batch) for name in ("frames", "masks"))
        return Pairs(to_float(frames), masks.astype(jnp.float32) / 255.0)


def draw(key: jax.Array, plan: networks.Plan, config: Config, num_frames: int, by_chance: jax.Array) -> Draws:
    """The randomness of one step, from two calls of the generator."""
    batch, classes = config.batch_size, plan.num_classes
    normal = jax.random.normal(jax.random.fold_in(key, 0), (3, batch, config.model.noise_dim))
    shapes = {
        "decisions": (3, pair_augment.DECISIONS),
        "warp": (3, batch, pair_augment.PLACES),
        "bernoulli": (2, batch, *networks.feature_size(plan), classes),
        "mix_content": (batch, content_channels(plan, config.model) + 4),
        "mix_layout": (batch, layout_augment.uniforms(classes)),
        "frames": (num_frames,),
    }
    uniform = flat.drawn(jax.random.uniform, jax.random.fold_in(key, 1), shapes)
    return Draws(z_g=normal[0], z_d=normal[1], z_moved=normal[2], by_chance=by_chance, **uniform)
