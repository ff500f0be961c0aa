"""The settings of ConSinGAN; the defaults are the paper's."""

from typing import Literal

import pydantic
from pydantic import StrictBool, StrictFloat, StrictInt, StrictStr

from siv_jax import config
from siv_jax.config import DataConfig, section, setting
from siv_jax.nn import adam_settings

MODES = Literal["generation", "retarget", "animation", "harmonization", "editing"]


@section
class ModelConfig:
    name: Literal["consingan"] = setting("consingan", "the model family")
    mode: MODES = setting("generation", "what it is trained for; each has samples of any size, retarget keeps layout")
    width: StrictInt = setting(64, "channels of all features", 1, 512)
    num_stages: StrictInt = setting(6, "stages of growth; more for larger pictures and stronger layout", 2, 16)
    min_size: StrictInt = setting(25, "the shorter side at the first stage, in pixels", 12, 512)
    train_depth: StrictInt = setting(3, "the newest bodies that are trained together at each stage", 1, 16)
    activation: Literal["lrelu", "elu", "selu", "prelu"] = setting("lrelu", "activation of both networks")
    slope: StrictFloat = setting(0.05, "of LeakyReLU; 0.3 is advised for harmonization", 0.0, 1.0)
    batch_norm: StrictBool = setting(False, "normalise the generator's features; helps where samples turn black")
    as_run: StrictBool = setting(
        False,
        "as the original code ran: pictures pass 8 bits, truncated, at each resize, and the learning rates fall only "
        "where 0.8 num_steps is a whole number",
    )


@section
class LossConfig:
    reconstruction: StrictFloat = setting(10.0, "weight of the squared error of the reconstruction", 0.0, 1e6)
    gradient_penalty: StrictFloat = setting(0.1, "weight of the gradient penalty", 0.0, 1e6)


@section
class OptimConfig(adam_settings.OptimConfig):
    lr_g: StrictFloat = setting(5e-4, "learning rate of the newest body of the generator", 0.0, 1.0)
    lr_d: StrictFloat = setting(5e-4, "learning rate of the discriminator", 0.0, 1.0)
    lr_scale: StrictFloat = setting(
        0.1, "each older body learns at this share of the next one's rate; 0.5 is nearer to the picture", 0.0, 1.0
    )
    updates_d: StrictInt = setting(3, "updates of the discriminator in a step", 1, 100)
    updates_g: StrictInt = setting(3, "Adam updates of the generator in a step, all with one gradient", 1, 100)


@section
class FinetuneConfig:
    workdir: StrictStr = setting(
        "", "a run of the mode harmonization or editing on the same picture, which is trained on at its last stage"
    )
    image: StrictStr = setting("", "the naive collage, or the edited picture, that it is trained on for")

    @pydantic.model_validator(mode="after")
    def _check(self):
        if bool(self.workdir) != bool(self.image):
            raise ValueError("finetune.workdir and finetune.image go together: set both or none")
        return self


@section
class Config(config.Config):
    num_steps: StrictInt = setting(2000, "training steps of each stage", 1, 10**9)
    batch_size: StrictInt = setting(1, "samples in a step; the method has one", 1, 4096)
    data: DataConfig = DataConfig(max_size=250)
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    optim: OptimConfig = OptimConfig()
    finetune: FinetuneConfig = FinetuneConfig()

    @pydantic.model_validator(mode="after")
    def _check_finetuning(self):
        if self.finetune.workdir and self.model.mode not in ("harmonization", "editing"):
            raise ValueError("finetune.workdir needs model.mode harmonization or editing, as the run there has it")
        return self
