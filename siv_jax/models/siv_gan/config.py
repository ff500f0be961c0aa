"""The settings of SIV-GAN; the defaults are what was run for the paper's tables."""

from typing import Literal

import pydantic

from siv_jax import config
from siv_jax.config import section, setting
from siv_jax.nn.two_branch import settings
from siv_jax.nn.two_branch.settings import AugmentConfig, EmaConfig, LossConfig, OptimConfig


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
        if self.loss.diversity not in ("none", "zcr") and self.batch_size < 2:
            raise ValueError(
                f"loss.diversity {self.loss.diversity} compares pairs of samples and needs batch_size 2 or more; "
                "set loss.diversity none for batch_size 1"
            )
        if self.loss.diversity_scale == "relative" and self.loss.diversity != "feature":
            raise ValueError("loss.diversity_scale relative is of features: set loss.diversity feature")
        return self
