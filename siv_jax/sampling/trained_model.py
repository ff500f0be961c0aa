"""A workdir's model, ready to sample."""

import copy
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import jax
import numpy as np

from siv_jax.data import Source
from siv_jax.errors import UserError
from siv_jax.models import registry
from siv_jax.models.interface import Samples
from siv_jax.patches.render import DEFAULT_FIDELITY
from siv_jax.sampling import variety
from siv_jax.sampling.drawer import Drawer, require_finite, sample_size
from siv_jax.sampling.rendering import Rendering, of_model, parse_size
from siv_jax.sampling.walk import walk
from siv_jax.workdir import checkpoint, kept_input, layout


class TrainedModel:
    """The newest weights of a workdir.

    Attributes:
      workdir: the folder.
      config: of the run.
      record: plan, pixel format and input of the run.
      step: completed training steps of the weights.
      size: (height, width) of samples.
      tasks: what the model can do beside samples of that size, see siv_jax.models.interface.Sampler.
      num_scales: of the pyramid that samples pass through.
    """

    def __init__(self, workdir: Path):
        """Restores the newest checkpoint of `workdir`.

        Raises:
          UserError: it is no workdir, or holds no usable checkpoint.
        """
        self.workdir = workdir
        self.config, self.record = layout.load_config(workdir), layout.load_record(workdir)
        self._sampler = registry.get(self.config.model.name).sampler(self.config, self.record.plan)
        weights, self.step = checkpoint.restore_weights(workdir / layout.CHECKPOINTS)
        self.tasks, self.num_scales = self._sampler.tasks, self._sampler.num_scales
        self._use(Drawer(self._sampler, self.record.plan, self.record.source_size))
        try:
            jax.eval_shape(self._drawer.draw, weights, self._drawer.noise(0, 0, 1))
        except Exception as error:  # flax and JAX raise many kinds for arrays of other shapes
            raise UserError(
                f"the weights in {workdir} do not fit its {layout.CONFIG} and {layout.PLAN}, which must have been "
                f"edited: put the original files back ({' '.join(str(error).split())[:100]})"
            ) from None
        self._weights = jax.device_put(weights)
        self._draw_made_of = jax.jit(self._sampler.draw, static_argnames=("size", "start_scale"))

    def at(self, size: str | None = None, start_scale: int = 0) -> Self:
        """The same model drawing samples of another size, or from a scale above the coarsest; no rendering.

        Args:
          size: of a model with the task "size": "photo", "WIDTHxHEIGHT", or a factor of the training size like "1.5x".
          start_scale: of a model with the task "start_scale", counted from the coarsest: the scales below it
            reconstruct the picture, so that samples vary in what is finer alone.

        Raises:
          UserError: a size or scale that the model does not have.
        """
        if size is not None and "size" not in self.tasks:
            raise UserError(f"the model in {self.workdir} draws samples of one size: render them at others")
        wanted = None if size is None else self.drawn_size(size)
        if start_scale and "start_scale" not in self.tasks:
            raise UserError(f"start_scale {start_scale}: the model in {self.workdir} has no scales to start from")
        if not 0 <= start_scale < self.num_scales:
            raise UserError(
                f"start_scale {start_scale}: the model in {self.workdir} has the scales 0 to {self.num_scales - 1}"
            )
        other = copy.copy(self)
        other._use(Drawer(self._sampler, self.record.plan, self.record.source_size, wanted, start_scale))
        return other

    def drawn_size(self, text: str) -> tuple[int, int]:
        """(height, width) that a text means for what the network draws: factors are of the size that it learnt.

        Raises:
          UserError: see siv_jax.sampling.rendering.parse_size.
        """
        photo = self.record.source_size
        return parse_size(text, photo if text == "photo" else sample_size(self.record.plan, photo))

    def _use(self, drawer: Drawer) -> None:
        self._drawer, self.size = drawer, drawer.size
        self.__dict__.pop("_previewer", None)  # was for another size
        self._noise_shape = drawer.noise(0, 0, 1).shape[1:]

    def latents(self, count: int, seed: int = 0, start: int = 0) -> np.ndarray:
        """The sampler's noise float32 [count, ...], numbers `start` on of `seed`, chosen as config.candidates says."""
        candidates = self.config.candidates
        preview = self._previewer if candidates > 1 and count else None
        return variety.latents(self._drawer, self._weights, candidates, seed, start, count, preview)

    def noise(self, count: int, seed: int = 0, start: int = 0) -> np.ndarray:
        """As `latents`, as it comes: not chosen."""
        return self._drawer.noise(seed, start, count)

    @functools.cached_property
    def _previewer(self) -> variety.Previewer | None:
        """What samples are chosen by; None for imported weights that have no picture, or one too small."""
        return variety.previewer(self._drawer, self.source()) if self.record.num_frames else None

    def generate(self, z: np.ndarray) -> np.ndarray:
        """Images float32 [n, H, W, C] in [-1, 1] for latents [n, ...].

        Raises:
          UserError: see check_latents.
        """
        return self.draw(z).images

    def draw(self, z: np.ndarray) -> Samples:
        """As `generate`, with masks where the model makes them.

        Raises:
          UserError: see check_latents.
        """
        self.check_latents(z)
        return require_finite(self._drawer(self._weights, z))

    def batches(self, z: np.ndarray) -> Iterator[Samples]:
        """As `draw`, in batches of the drawer's size: one is in memory at a time.

        Raises:
          UserError: see check_latents.
        """
        self.check_latents(z)
        return self._drawer.batches(self._weights, [z])

    def sampled(self, count: int, seed: int = 0) -> Iterator[Samples]:
        """Samples 0 to `count` of `seed`, as `batches`; of their latents, too, few are in memory at a time."""
        return self._drawer.batches(self._weights, self._pieces(count, seed))

    def _pieces(self, count: int, seed: int) -> Iterator[np.ndarray]:
        """As `latents`: a group of samples that are chosen among each other, or a batch, after another."""
        candidates = self.config.candidates
        if candidates > 1:
            return variety.in_groups(self._drawer, self._weights, candidates, seed, 0, count, self._previewer)
        return (self.latents(len(numbers), seed, numbers.start) for numbers in self._spans(count))

    def _spans(self, count: int) -> list[range]:
        """The numbers of `count` samples, a range for each batch."""
        size = self._drawer.batch
        return [range(start, min(start + size, count)) for start in range(0, count, size)]

    def between(self, anchors: np.ndarray, frames_between: int) -> Iterator[Samples]:
        """Samples along a walk, see siv_jax.sampling.walk, as `batches`; of their latents, too, one batch at a time.

        Raises:
          UserError: see check_latents.
        """
        self.check_latents(anchors)
        spans = self._spans(len(anchors) * frames_between)
        return self._drawer.batches(self._weights, (walk(anchors, frames_between, numbers) for numbers in spans))

    def source(self) -> Source:
        """The picture or the clip that the model learnt from.

        Raises:
          UserError: the workdir keeps none, as that of imported weights.
        """
        return kept_input.load(self.workdir)

    def draw_made_of(
        self,
        seed: int,
        number: int,
        size: tuple[int, int] | None = None,
        image: np.ndarray | None = None,
        start_scale: int = 0,
    ) -> np.ndarray:
        """Sample `number` of `seed` made of an image or at a size, by the tasks of the model: float32 [H, W, C].

        Args:
          size, start_scale: see Sampler.draw.
          image: float32 [h, w, C] in [-1, 1], see Sampler.draw.

        Raises:
          UserError: the network gives values that are not finite.
        """
        noise = self._sampler.noise(seed, number, 1, size)
        image = None if image is None else image[None]
        drawn = self._draw_made_of(self._weights, noise, size=size, image=image, start_scale=start_scale)
        return np.asarray(require_finite(drawn, number).images)[0]

    def walk(self, seed: int, count: int, start_scale: int, strength: float, smoothness: float) -> Iterator[np.ndarray]:
        """Frames float32 [H, W, C] of a walk close to the picture, see Sampler.animation."""
        noise = self._sampler.animation(self._weights, seed, count, start_scale, strength, smoothness)
        return (image for batch in self.batches(noise) for image in batch.images)

    def rendered(
        self,
        count: int,
        seed: int = 0,
        size: str = "photo",
        fidelity: float = DEFAULT_FIDELITY,
        latents: np.ndarray | None = None,
        masks: np.ndarray | None = None,
    ) -> Iterator[Samples]:
        """Samples 0 to `count` of `seed` rendered from the photo's own patches, one after another.

        Where samples are chosen (config.candidates) each shows a part of what the network draws, see sampling.views.

        Args:
          size: "photo", "WIDTHxHEIGHT" or a factor such as "2x".
          fidelity: how strongly every part of the photo must be used, 0 to 8, see siv_jax.patches.
          latents: [n, ...] to render instead.
          masks: uint8 [N, H, W] of the photo, or of the clip's frames; then the samples have masks, too. None: those
            that a model of masks learnt from.

        Raises:
          UserError: a size that cannot be made, a fidelity out of its range, or latents that do not fit.
        """
        source = self.source()
        if masks is None and source.masks is not None:
            masks = source.masks.labels
        to_make = Rendering(parse_size(size, source.size), fidelity, masks)
        if latents is None:
            pieces = self._pieces(count, seed)
        else:
            self.check_latents(latents)
            pieces = [latents]
        return of_model(self._drawer, self._weights, pieces, source, to_make, self.config.candidates > 1)

    def check_latents(self, z: np.ndarray) -> None:
        """Checks latents [n, ...].

        Raises:
          UserError: another shape or type, or values that are not finite.
        """
        if z.ndim < 2 or z.shape[1:] != self._noise_shape or not len(z) or z.dtype.kind not in "fiu":
            wanted = ", ".join(map(str, self._noise_shape))
            raise UserError(f"latents are {z.dtype}{list(z.shape)}; this model takes numbers of shape [n, {wanted}]")
        with np.errstate(over="ignore"):
            finite = np.isfinite(z.astype(np.float32)).all()
        if not finite:
            raise UserError("latents hold values that are not finite as float32")
