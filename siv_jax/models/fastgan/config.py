"""The settings of FastGAN; the defaults are what was run, except where a setting says otherwise."""

from typing import Literal

import pydantic
from pydantic import StrictBool, StrictFloat, StrictInt, StrictStr

from siv_jax import config
from siv_jax.config import DataConfig, section, setting
from siv_jax.nn.adam_settings import OptimConfig

SIZES = (64, 128, 256, 512, 1024)
_KINDS = ("color", "translation", "cutout")


@section
class ModelConfig:
    name: Literal["fastgan"] = setting("fastgan", "the model family")
    ch_g: StrictInt = setting(64, "width of the generator, ngf of the original", 1, 512)
    ch_d: StrictInt = setting(64, "width of the discriminator, ndf of the original", 1, 512)
    ch_decoder: StrictInt = setting(64, "width of the discriminator's three decoders, which cost the most", 2, 512)
    noise_dim: StrictInt = setting(256, "length of the latent vector z", 1, 4096)
    tanh: Literal["always", "as_run"] = setting("always", "tanh on the images; as_run: at 1024 pixels alone")
    dtype: Literal["auto", "float32", "bfloat16"] = setting(
        "auto", "arithmetic of the networks; auto: bfloat16 on GPU and TPU"
    )


@section
class LossConfig:
    reconstruction: Literal["lpips", "mse"] = setting(
        "lpips",
        "what the discriminator's decoders are compared by: LPIPS with VGG (as run), whose weights "
        "`python -m siv_jax.weights fetch` gets, or mean squared differences (paper), twice as fast",
    )
    margin: StrictFloat = setting(
        0.8, "margins of the hinge loss are drawn between this and 1; 1: the paper's, always 1", 0.0, 1.0
    )


@section
class AugmentConfig:
    policy: StrictStr = setting(
        "color,translation", "DiffAugment of real and fake images, in this order: any of color, translation, cutout"
    )
    flip: StrictBool = setting(
        False, "mirror half of the real pictures (as run): then a model of few pictures draws mirror images, too"
    )


@section
class EmaConfig:
    decay: StrictFloat = setting(
        0.999, "of the average of the generator's weights that samples come from", 0.0, 0.9999999
    )
    warmup: StrictBool = setting(
        True, "decay starts at 0.1 and rises as (1 + t) / (10 + t), so that short runs sample well; as run False"
    )


@section
class Config(config.Config):
    num_steps: StrictInt = setting(50_000, "training steps", 1, 10**9, free=True)
    batch_size: StrictInt = setting(8, "samples in a step, over all devices together", 1, 4096)
    data: DataConfig = DataConfig(max_size=256, max_frames=10_000)
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    augment: AugmentConfig = AugmentConfig()
    optim: OptimConfig = OptimConfig()
    ema: EmaConfig = EmaConfig()

    @pydantic.model_validator(mode="after")
    def _check_names(self):
        if self.data.max_size not in SIZES:
            raise ValueError(
                f"config key data.max_size is {self.data.max_size}; the longer side of FastGAN's pictures is a power "
                f"of two: {', '.join(map(str, SIZES[:-1]))} or {SIZES[-1]}"
            )
        unknown = [kind for kind in self.augment.policy.split(",") if self.augment.policy and kind not in _KINDS]
        if unknown:
            raise ValueError(
                f"config key augment.policy names {unknown[0]!r}; it lists any of {', '.join(_KINDS)}, with commas "
                "and no spaces between"
            )
        return self
