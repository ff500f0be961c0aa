"""The settings of SinGAN; the defaults are the paper's."""

from typing import Literal

from pydantic import StrictBool, StrictFloat, StrictInt

from siv_jax import config
from siv_jax.config import section, setting
from siv_jax.nn import adam_settings


@section
class DataConfig(config.DataConfig):
    max_size: StrictInt = setting(250, "the longer side is scaled down to this many pixels for training", 16, 1792)


@section
class ModelConfig:
    name: Literal["singan"] = setting("singan", "the model family")
    min_size: StrictInt = setting(
        25, "shorter side of the coarsest scale; larger: samples keep more of the layout", 12, 512
    )
    scale_factor: StrictFloat = setting(
        0.75, "about how much smaller each scale is than the next finer one; smaller: fewer scales", 0.3, 0.95
    )
    width: StrictInt = setting(32, "channels of the four coarsest scales; doubled every four scales", 1, 512)
    max_width: StrictInt = setting(128, "channels at most", 1, 1024)
    noise_padding: StrictBool = setting(
        False, "noise, not zeros, around the noise maps: more variety at the borders (the paper's animations)"
    )
    upscale: StrictFloat = setting(
        0.0,
        "0: none; else the model learns to enlarge pictures by this factor (super-resolution), whose cube-root-of-2 "
        "steps take the place of scale_factor",
        0.0,
        16.0,
    )


@section
class LossConfig:
    reconstruction: StrictFloat = setting(10.0, "alpha of eq. 2; 100 for super-resolution", 0.0, 1e6)
    gradient_penalty: StrictFloat = setting(0.1, "weight of the gradient penalty", 0.0, 1e6)
    noise: StrictFloat = setting(
        0.1, "amplitude of a scale's noise, in units of the error that the scales below leave", 0.0, 100.0
    )
    as_run: Literal["no", "recomputed", "stale"] = setting(
        "no",
        "recomputed: what the published code does besides the paper, for comparisons (a new z* in every step of the "
        "coarsest scale, preview passes that move the batch statistics); stale: also its mixed gradients in the second "
        "and third turn of the generator, which PyTorch from 1.5 on refuses",
    )


@section
class OptimConfig(adam_settings.OptimConfig):
    lr_g: StrictFloat = setting(5e-4, "learning rate of the generator", 0.0, 1.0)
    lr_d: StrictFloat = setting(5e-4, "learning rate of the discriminator", 0.0, 1.0)
    turns_g: StrictInt = setting(3, "updates of the generator in a step", 1, 100)
    turns_d: StrictInt = setting(3, "updates of the discriminator in a step, before the generator's", 1, 100)
    decay_from: StrictFloat = setting(
        0.8, "share of a scale's steps after which both rates fall to a tenth; 1: they stay", 0.0, 1.0
    )


@section
class Config(config.Config):
    num_steps: StrictInt = setting(2000, "training steps of each scale", 1, 10**7)
    batch_size: StrictInt = setting(1, "draws of noise in a step, over all devices together", 1, 4096)
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    optim: OptimConfig = OptimConfig()
