"""SinGAN, as in the paper: 2,000 steps at each of some ten scales up to 250 pixels.

    python -m siv_jax.main --config singan --config.data.path photo.jpg

Other purposes, each a model of its own:

    --config singan:animation           noise around the noise maps, from 20 pixels
    --config singan:super_resolution    enlarges by 4

On a CPU the widest scales take hours; --config singan_small is of that size.
"""

from siv_jax import config as config_lib
from siv_jax.errors import UserError


def get_config(purpose="samples"):
    config = config_lib.default("singan")
    config.sample_every = 500
    config.checkpoint_every = 500
    if purpose == "animation":
        config.model.min_size = 20
        config.model.noise_padding = True
    elif purpose == "super_resolution":
        config.model.min_size = 18
        config.model.upscale = 4.0
        config.loss.reconstruction = 100.0
    elif purpose != "samples":
        raise UserError(f"--config singan:{purpose}: give samples, animation or super_resolution")
    return config
