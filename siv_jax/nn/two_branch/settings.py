"""The settings of such models; the defaults are what was run for the paper's tables."""

from typing import Literal

from pydantic import StrictBool, StrictFloat, StrictInt

from siv_jax.config import section, setting


@section
class ModelConfig:
    ch_g: StrictInt = setting(32, "width multiplier of the generator", 1, 512)
    ch_d: StrictInt = setting(32, "width multiplier of the discriminator", 8, 512)
    noise_dim: StrictInt = setting(64, "length of the latent vector z", 1, 4096)
    num_blocks_g: StrictInt = setting(0, "generator blocks, 4 to 9; 0: from the picture's size", 0, 9)
    num_blocks_d: StrictInt = setting(0, "discriminator blocks N_D; 0: from the generator's", 0, 8)
    num_blocks_low_level: StrictInt = setting(
        0, "of these, low-level blocks N_ll (Table 6); 0: from the generator's", 0, 7
    )
    dtype: Literal["auto", "float32", "bfloat16"] = setting(
        "auto", "arithmetic of the networks; auto: bfloat16 on GPU and TPU"
    )
    remat: StrictBool = setting(
        False, "compute activations again in the backward pass: less memory, more arithmetic", free=True
    )


@section
class LossConfig:
    adversarial: Literal["bce", "hinge", "wasserstein"] = setting("bce", "adversarial loss")
    balance: Literal["as_run", "paper"] = setting("as_run", "weights of the discriminator's parts (eq. 1 and 3)")
    low_level: StrictBool = setting(True, "False: Table 3, no low-level loss")
    diversity: Literal["feature", "image", "zcr", "ds", "none"] = setting("feature", "what is kept diverse (Table 4)")
    diversity_scale: Literal["as_run", "paper", "relative"] = setting(
        "as_run", "how eq. 4 sums over pairs and layers; relative: as run, with features in units of their magnitude"
    )
    diversity_weight: StrictFloat = setting(0.15, "lambda of eq. 5 (Table 5)", 0.0, 1e3)
    diversity_target: StrictFloat = setting(
        0.0,
        "0: lambda stays; else it starts at diversity_weight and rises and falls so that samples differ this much, 1 "
        "being how much flipped, shifted and cropped views of the training frames differ",
        0.0,
        2.0,
    )


@section
class AugmentConfig:
    image: StrictFloat = setting(
        0.7, "probability of each geometric transform of real and fake images; 0: none", 0.0, 1.0
    )
    feature: StrictFloat = setting(
        0.4, "probability of each feature augmentation of real images; 0: no FA (Table 3)", 0.0, 1.0
    )


@section
class EmaConfig:
    decay: StrictFloat = setting(
        0.9999, "of the average of the generator's weights that samples come from", 0.0, 0.9999999
    )
    warmup: StrictBool = setting(
        True, "decay starts at 0.1 and rises as (1 + t) / (10 + t), so that short runs sample well"
    )


def check_pairs(batch_size: int, loss: LossConfig) -> None:
    """Raises ValueError: the diversity regularization needs what the other settings do not give."""
    if loss.diversity not in ("none", "zcr") and batch_size < 2:
        raise ValueError(
            f"loss.diversity {loss.diversity} compares pairs of samples and needs batch_size 2 or more; "
            "set loss.diversity none for batch_size 1"
        )
    if loss.diversity_scale == "relative" and loss.diversity != "feature":
        raise ValueError("loss.diversity_scale relative is of features: set loss.diversity feature")
