"""The settings of OSMIS; the defaults are what was run, those of SIV-GAN but for the masks."""

from typing import Literal

import pydantic
from pydantic import StrictInt

from siv_jax import config
from siv_jax.config import section, setting
from siv_jax.nn.adam_settings import OptimConfig
from siv_jax.nn.two_branch import settings
from siv_jax.nn.two_branch.settings import AugmentConfig, EmaConfig, LossConfig, check_pairs


@section
class ModelConfig(settings.ModelConfig):
    name: Literal["osmis"] = setting("osmis", "the model family")


@section
class MaskConfig:
    bernoulli_steps: StrictInt = setting(
        15_000,
        "steps in which the discriminator sees each class of a drawn mask at random, by its probability; then the "
        "likeliest class alone",
        0,
        10**9,
    )


@section
class Config(config.Config):
    model: ModelConfig = ModelConfig()
    mask: MaskConfig = MaskConfig()
    loss: LossConfig = LossConfig()
    augment: AugmentConfig = AugmentConfig()
    optim: OptimConfig = OptimConfig()
    ema: EmaConfig = EmaConfig()

    @pydantic.model_validator(mode="after")
    def _check_pairs(self):
        check_pairs(self.batch_size, self.loss)
        return self
