"""The settings of InGAN; the defaults are what was published as run."""

import dataclasses
from typing import Literal

import pydantic
from pydantic import StrictFloat, StrictInt

from siv_jax import config
from siv_jax.config import DataConfig, section, setting
from siv_jax.nn import adam_settings

# Shifts of twice this reach 0.9, where the far corner is seen at a tenth of its size; at 1 a picture folds over.
LARGEST_SHIFT = 0.45


@section
class ModelConfig:
    name: Literal["ingan"] = setting("ingan", "the model family")
    ch_g: StrictInt = setting(64, "channels of the generator at full resolution", 4, 512)
    ch_d: StrictInt = setting(64, "channels of each discriminator", 4, 512)
    num_downscales_g: StrictInt = setting(
        3, "how often the generator halves its map; outputs have sides that are multiples of 2 to this power", 1, 5
    )
    num_blocks_g: StrictInt = setting(6, "residual blocks of the generator", 1, 32)
    scale_factor_d: StrictFloat = setting(1.4, "each discriminator sees the picture smaller by this factor", 1.1, 4.0)
    max_nets_d: StrictInt = setting(99, "discriminators at most; fewer where the crop is small", 1, 99)


@section
class TransformConfig:
    crop: StrictInt = setting(256, "side of the random crop of each step, at most the picture's", 24, 1024)
    min_scale: StrictFloat = setting(0.15, "smallest scale of the crop's sides", 0.05, 1.0)
    max_scale: StrictFloat = setting(2.25, "largest scale of the crop's sides", 1.0, 8.0)
    max_shift: StrictFloat = setting(
        0.0,
        "shears and trapezoids move the upper left and lower right corner by up to this share of half the width; "
        "0: rectangles alone",
        0.0,
        LARGEST_SHIFT,
    )
    growth_steps: StrictInt = setting(
        10_000, "over these steps the range of scales and shifts grows to its full width", 0, 10**9
    )
    swap_probability: StrictFloat = setting(
        0.0, "how often two rectangles change places in what the generator sees of a crop", 0.0, 1.0
    )
    swap_min_side: StrictInt = setting(32, "smallest side of these rectangles", 8, 1024)
    swap_max_side: StrictInt = setting(
        256, "largest side of these rectangles, which are smaller than the crop", 8, 1024
    )
    canvases: StrictInt = setting(
        4,
        "into how many groups of equal steps output sizes fall on either side, beside the crop's own: more waste less "
        "arithmetic, but a step is compiled for every height and width of a group when it is first met; 1: once",
        1,
        32,
    )

    @pydantic.model_validator(mode="after")
    def _check_swap(self):
        if self.swap_max_side < self.swap_min_side:
            raise ValueError(
                f"config key transform.swap_max_side is {self.swap_max_side}, less than transform.swap_min_side, which "
                f"is {self.swap_min_side}"
            )
        return self


@section
class LossConfig:
    reconstruction_weight: StrictFloat = setting(0.1, "of the way back to the crop, beside the adversarial", 0.0, 1e3)
    reconstruction: Literal["l1", "l2"] = setting("l1", "how far the way back may stray: absolute or squared")
    inverse: Literal["exact", "as_run"] = setting(
        "exact", "way back of shears and trapezoids; as_run: the shifts negated, which is no inverse"
    )
    inverse_start: StrictInt = setting(
        10_000, "from this step on the generator takes an extra step on the way back alone", 0, 10**9
    )
    inverse_weight: StrictFloat = setting(1.0, "of that step; 0: no such steps", 0.0, 1e3)
    even_scales_step: StrictInt = setting(
        25_000,
        "the step when all scales of the discriminator count alike: coarse ones before, fine ones after",
        1,
        10**9,
    )


@section
class OptimConfig(adam_settings.OptimConfig):
    lr_g: StrictFloat = setting(5e-5, "learning rate of the generator", 0.0, 1.0)
    lr_d: StrictFloat = setting(5e-5, "learning rate of the discriminators", 0.0, 1.0)
    decay_start: StrictInt = setting(20_000, "from this step on both learning rates fall in a line", 0, 10**9)
    decay_end: StrictInt = setting(75_000, "the step when they reach zero", 1, 10**9)


@section
class Config(config.Config):
    num_steps: StrictInt = setting(75_000, "training steps", 1, 10**9, free=True)
    batch_size: StrictInt = setting(1, "crops in a step, all brought to one size", 1, 4096)
    data: DataConfig = dataclasses.replace(DataConfig(), max_size=512)
    model: ModelConfig = ModelConfig()
    transform: TransformConfig = TransformConfig()
    loss: LossConfig = LossConfig()
    optim: OptimConfig = OptimConfig()

    @pydantic.model_validator(mode="after")
    def _check_decay(self):
        if self.optim.decay_end <= self.optim.decay_start:
            raise ValueError(
                f"config key optim.decay_end is {self.optim.decay_end}, not after optim.decay_start, which is "
                f"{self.optim.decay_start}"
            )
        return self
