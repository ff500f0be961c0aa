"""SinGAN for a CPU: up to 128 pixels, six scales, one turn of each player in a step.

    python -m siv_jax.main --config singan_small --config.data.path photo.jpg

Compared with --config singan: 1,500 steps of 1 + 1 turns at a scale, not 2,000 of 3 + 3, and fewer, narrower scales.
"""

from siv_jax import config as config_lib


def get_config():
    config = config_lib.default("singan")
    config.data.max_size = 128
    config.num_steps = 1500
    config.sample_every = 500
    config.checkpoint_every = 500
    config.model.scale_factor = 0.72
    config.model.max_width = 64
    config.optim.turns_g = 1
    config.optim.turns_d = 1
    return config
