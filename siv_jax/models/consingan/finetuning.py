"""Fine-tuning: the last stage of a trained run goes on with one naive collage, or edited picture, as its input."""

from pathlib import Path

import jax
import numpy as np

from siv_jax.config import DataConfig
from siv_jax.data import Source, open_source
from siv_jax.errors import UserError
from siv_jax.models.consingan import first_noise
from siv_jax.models.consingan.config import Config
from siv_jax.models.consingan.plan import Plan
from siv_jax.models.consingan.stage import Draws, Stage, TrainState
from siv_jax.nn import pyramid_resize
from siv_jax.workdir import checkpoint, layout


def finetuned_plan(config: Config, source: Source) -> Plan:
    """The plan of the run at config.finetune.workdir.

    Raises:
      UserError: it is another model's, of other settings, unfinished, or of another picture than `source`.
    """
    workdir = Path(config.finetune.workdir)
    saved, record = layout.load_config(workdir), layout.load_record(workdir)
    if not isinstance(saved, Config):
        raise UserError(f"finetune.workdir {workdir} holds a run of another model, {saved.model.name}")
    if saved.model != config.model:
        raise UserError(
            f"finetune.workdir {workdir} was trained with other settings of the model ({saved.model}): set the same"
        )
    if record.digest != source.digest():
        raise UserError(
            f"finetune.workdir {workdir} was trained on another picture ({record.source}) than data.path: give that one"
        )
    weights, _ = checkpoint.restore_weights(workdir / layout.CHECKPOINTS)
    if "discriminator" not in weights:
        raise UserError(f"finetune.workdir {workdir} was imported without a discriminator, which goes on learning")
    if len(weights["fixed"]) != record.plan.num_stages:
        raise UserError(f"finetune.workdir {workdir} has not come to its last stage: go on training there first")
    return record.plan


class FineTuning(Stage):
    """The last stage once more, from the weights of a trained run; its fixed noises and amplitudes stay."""

    def __init__(self, plan: Plan, config: Config, shards: int = 1):
        super().__init__(plan, config, plan.num_stages - 1, shards)
        self._given = config.finetune

    def data(self, source: Source) -> dict[str, np.ndarray]:
        """As `Stage.data`, and "image" [1, h, w, C] at the first stage's size. Raises UserError: it cannot be used."""
        image = open_source(DataConfig(path=self._given.image))
        if image.num_frames != 1 or image.channels != source.channels:
            raise UserError(
                f"finetune.image {self._given.image} must be one picture of {source.channels} channels, as the run's"
            )
        frame = next(iter(image.frames()))
        size, as_run = self._plan.sizes[0], self._config.model.as_run
        picture = pyramid_resize.as_float(frame)[None]
        return super().data(source) | {"image": pyramid_resize.to_size(picture, size, as_run)}

    def init(self, key: np.ndarray, data: dict[str, np.ndarray], previous: None = None) -> TrainState:
        """The trained run's weights, with new optimizers. Raises UserError: they are not there any more."""
        weights, _ = checkpoint.restore_weights(Path(self._given.workdir) / layout.CHECKPOINTS)
        fixed, amplitudes = weights["fixed"], weights["amplitudes"]
        return self.with_new_optimizers(weights["generator"], weights["discriminator"], fixed, amplitudes)

    def _first_noise(self, data: dict[str, jax.Array], draws: Draws) -> jax.Array:
        return first_noise.of_image(data["image"], draws.noises[0], self._config.model.mode)
