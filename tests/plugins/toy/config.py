"""Settings of the toy family."""

from typing import Literal

from siv_jax import config


@config.section
class ModelConfig:
    name: Literal["toy"] = config.setting("toy", "the model family")
    steps_per_stage: int = config.setting(20, "steps of each of the two stages", 1, 1000)


@config.section
class Config(config.Config):
    model: ModelConfig = ModelConfig()
