"""The settings of SIV-GAN; the defaults are what was run for the paper's tables."""

from typing import Literal

import pydantic

from siv_jax import config
from siv_jax.config import section, setting
from siv_jax.nn.adam_settings import OptimConfig
from siv_jax.nn.two_branch import settings
from siv_jax.nn.two_branch.settings import AugmentConfig, EmaConfig, LossConfig, check_pairs


@section
class ModelConfig(settings.ModelConfig):
    name: Literal["siv_gan"] = setting("siv_gan", "the model family")
    branches: Literal["both", "content", "layout", "none"] = setting(
        "both", "branches of the discriminator (Table 3); none is one plain trunk"
    )


@section
class Config(config.Config):
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    augment: AugmentConfig = AugmentConfig()
    optim: OptimConfig = OptimConfig()
    ema: EmaConfig = EmaConfig()

    @pydantic.model_validator(mode="after")
    def _check_pairs(self):
        check_pairs(self.batch_size, self.loss)
        return self
