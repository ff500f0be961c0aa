"""Samples from trained weights: latents in, images out."""

from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from siv_jax import config as config_lib
from siv_jax.config import ModelConfig
from siv_jax.errors import UserError
from siv_jax.models.siv_gan.generator import make_generator
from siv_jax.models.siv_gan.plan import Plan
from siv_jax.models.siv_gan.state import Layouts, generator_shapes
from siv_jax.nn import spectral_norm
from siv_jax.train.devices import compute_dtype
from siv_jax.workdir import checkpoint
from siv_jax.workdir import layout as workdir

# Largest number of output values per dispatch: 32 samples at 128x128, 8 at 192x320 and up to 64 of small ones.
_VALUES_PER_BATCH = 1_600_000


def latents(seed: int, start: int, count: int, noise_dim: int) -> np.ndarray:
    """Latent vectors number `start` to `start + count` of `seed`: float32 [count, noise_dim] from N(0, I).

    Each depends on the seed and its own number alone, so sample 7 of seed 0 is the same in every call.
    """
    key = jax.random.key(seed, impl="threefry2x32")
    draw = jax.jit(jax.vmap(lambda i: jax.random.normal(jax.random.fold_in(key, i), (noise_dim,))))
    return np.asarray(draw(jnp.arange(start, start + count)))


class Sampler:
    """The generator of one model, compiled for a fixed batch."""

    def __init__(self, plan: Plan, model: ModelConfig):
        self.noise_dim = model.noise_dim
        values = plan.height * plan.width * plan.channels
        self._batch = int(np.clip(_VALUES_PER_BATCH // values, 1, 64))
        generator = make_generator(plan, model, compute_dtype(model.dtype))
        layouts = Layouts.of(generator_shapes(plan, model))

        def generate(params, vectors, z):
            weights = spectral_norm.normalize(layouts.params.split(params), layouts.vectors.split(vectors))
            images, _ = generator.apply({"params": weights}, z)
            return images[-1]

        self._generate = jax.jit(generate)

    def __call__(self, params: np.ndarray, vectors: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Images float32 [n, H, W, C] in [-1, 1] for latents z [n, noise_dim], n >= 1.

        `params` and `vectors` are the generator's as TrainState holds them.
        """
        return self.start(params, vectors, z)()

    def start(self, params, vectors, z: np.ndarray) -> Callable[[], np.ndarray]:
        """Begins to draw without waiting; what it returns waits and gives the images."""
        count = len(z)
        padding = -count % self._batch if count > self._batch else self._batch - count
        padded = np.concatenate([z, np.zeros((padding, self.noise_dim), np.float32)]).astype(np.float32)
        batches = [
            self._generate(params, vectors, padded[i : i + self._batch])
            for i in range(0, len(padded), self._batch)
        ]
        return lambda: np.concatenate([np.asarray(batch) for batch in batches])[:count]


class TrainedModel:
    """A workdir's generator, ready to sample.

    Attributes:
      config: of the run.
      model: plan, pixel format and source of the run.
      step: completed training steps of the weights.
    """

    def __init__(self, folder: Path):
        """Restores the newest checkpoint of `folder`.

        Raises:
          UserError: `folder` is no workdir, or holds no usable checkpoint.
        """
        if not folder.is_dir():
            raise UserError(f"{folder} does not exist: give the --workdir of a run")
        self.config = config_lib.load(folder / workdir.CONFIG)
        self.model = workdir.load_model(folder)
        layouts = Layouts.of(generator_shapes(self.model.plan, self.config.model))
        like = {
            "ema": np.zeros(sum(layouts.params.sizes), np.float32),
            "vectors_g": np.zeros(sum(layouts.vectors.sizes), np.float32),
        }
        weights, self.step = checkpoint.restore_generator(folder / workdir.CHECKPOINTS, like)
        self._params, self._vectors = jax.device_put((weights["ema"], weights["vectors_g"]))
        self._sampler = Sampler(self.model.plan, self.config.model)

    def latents(self, count: int, seed: int = 0, start: int = 0) -> np.ndarray:
        """Latents float32 [count, noise_dim], numbers `start` on of `seed`."""
        return latents(seed, start, count, self.config.model.noise_dim)

    def generate(self, z: np.ndarray) -> np.ndarray:
        """Images float32 [n, H, W, C] in [-1, 1] for latents [n, noise_dim].

        Raises:
          UserError: see check_latents.
        """
        self.check_latents(z)
        return self._sampler(self._params, self._vectors, z)

    def check_latents(self, z: np.ndarray) -> None:
        """Checks latents [n, noise_dim].

        Raises:
          UserError: another shape or type, or values that are not finite.
        """
        dim = self.config.model.noise_dim
        if z.ndim != 2 or z.shape[1] != dim or not len(z) or z.dtype.kind not in "fiu":
            raise UserError(
                f"latents are {z.dtype}{list(z.shape)}; this model takes numbers of shape [n, {dim}]"
            )
        with np.errstate(over="ignore"):
            finite = np.isfinite(z.astype(np.float32)).all()
        if not finite:
            raise UserError("latents hold values that are not finite as float32")
