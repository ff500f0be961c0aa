"""A trained model for use from Python: samples, renderings, walks and edits as arrays."""

from pathlib import Path

import numpy as np

from siv_jax.apply import request as requests
from siv_jax.apply import tasks
from siv_jax.cli import process
from siv_jax.models.interface import Samples
from siv_jax.patches.render import DEFAULT_FIDELITY
from siv_jax.sampling import pictures
from siv_jax.sampling.trained_model import TrainedModel


class Model(TrainedModel):
    """A trained model. Beside the methods of TrainedModel, which give float32 images, it gives uint8 pictures.

    Attributes:
      workdir: folder of the run.
      step: completed training steps.
      config: of the run.
      record: its plan (height, width, channels, ...), pixel format and input.
    """

    def __repr__(self) -> str:
        plan = self.record.plan
        return f"<siv_jax.Model of {self.record.source} at {plan.width}x{plan.height} after {self.step} steps>"

    def sample(self, n: int = 20, seed: int = 0, start: int = 0) -> np.ndarray | Samples:
        """Samples number `start` to `start + n` of `seed`: uint8 [n, H, W, C].

        A model of masks gives (images, masks), the masks int32 [n, H, W] with the class of each pixel.

        The same seed gives the pictures that `python -m siv_jax.sample` writes. Of sources that are not 8-bit
        `generate(latents(n, seed))` gives the full depth, float32 in [-1, 1].

        Raises:
          UserError: a number out of its range.
        """
        process.require_whole("n", n, 1, 1_000_000)
        process.require_whole("seed", seed, 0, 2**32 - 1)
        process.require_whole("start", start, 0, 2**31 // self.config.candidates - 1 - n)
        drawn = self.draw(self.latents(n, seed, start))
        return _given(pictures.to_uint8(drawn.images), drawn.masks)

    def render(
        self, n: int = 20, seed: int = 0, size: str = "photo", fidelity: float = DEFAULT_FIDELITY
    ) -> np.ndarray | Samples:
        """The same samples, sharp, from the photo's own patches: uint8 [n, height, width, C].

        Of a model that chooses its samples (config.candidates) each shows a part of what the network draws.

        A model of masks gives (images, masks), the masks int32 [n, height, width], 255 where the photo has no label.

        Args:
          size: "photo", "WIDTHxHEIGHT" or a factor such as "2x".
          fidelity: how strongly every part of the photo must be used; 0 hardly, 7 very strongly.

        Raises:
          UserError: a number out of its range, or a size that cannot be made.
        """
        process.require_whole("n", n, 1, 1_000_000)
        process.require_whole("seed", seed, 0, 2**32 - 1)
        made = list(self.rendered(n, seed, size, fidelity))
        masks = None if made[0].masks is None else np.concatenate([one.masks for one in made]).astype(np.int32)
        return _given(np.concatenate([pictures.to_uint8(one.images) for one in made]), masks)

    def interpolate(self, anchors: int | np.ndarray = 4, frames_between: int = 30, seed: int = 0) -> np.ndarray:
        """A closed walk through the latent space: uint8 [k * frames_between, H, W, C].

        Args:
          anchors: k >= 2 samples to pass: latents [k, noise_dim], or how many, latents 0 to k of `seed`.
          frames_between: pictures from one of them to the next; picture 0, frames_between, ... are the samples.
          seed: of the latents, where `anchors` is a number.

        Raises:
          UserError: a number out of its range, or latents of another shape.
        """
        process.require_whole("frames_between", frames_between, 1, 10_000)
        process.require_whole("seed", seed, 0, 2**32 - 1)
        if not isinstance(anchors, np.ndarray):
            process.require_whole("anchors", anchors, 2, 1000)
            anchors = self.latents(anchors, seed)
        self.check_latents(anchors)
        process.require_whole("the number of anchors", len(anchors), 2, 1000)
        return np.concatenate([pictures.to_uint8(batch.images) for batch in self.between(anchors, frames_between)])

    def edit(self, task: str, image: np.ndarray | None = None, mask: np.ndarray | None = None, **options) -> np.ndarray:
        """What `python -m siv_jax.edit` makes: uint8 [n, H, W, C], pictures or the frames of an animation.

        Args:
          task: "harmonize", "edit", "paint", "super_resolution", "animate" or "retarget".
          image: uint8 [h, w, C], or float32 in [-1, 1]: the edited, collaged or painted picture.
          mask: [h, w]: everything but 0 was changed.
          options: as those of the command: size, start_scale, num, seed, frames, strength, smoothness.

        Raises:
          UserError: options that do not go together or with this model.
        """
        request = requests.from_arrays(task, image, mask, options)
        made = tasks.made(self, request)
        return np.stack([pictures.to_uint8(finished) for _, finished in made.finished()])


def load(workdir: str | Path) -> Model:
    """The newest checkpoint of a run, ready to sample.

    Raises:
      UserError: `workdir` is not the workdir of a run, or holds no usable checkpoint.
    """
    process.prepare_jax()
    return Model(process.expanded(workdir))


def _given(images: np.ndarray, masks: np.ndarray | None) -> np.ndarray | Samples:
    return images if masks is None else Samples(images, masks)
