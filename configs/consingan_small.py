"""ConSinGAN for a CPU: five stages of 500 steps with networks of half the width, at up to 128 pixels.

    python -m siv_jax.main --config consingan_small --config.data.path photo.jpg

It shows how training goes; for good samples raise num_steps to the paper's 2,000 of each stage.
"""

from siv_jax import config as config_lib


def get_config():
    config = config_lib.default("consingan")
    config.data.path = "example:balloons"
    config.data.max_size = 128
    config.num_steps = 500
    config.sample_every = 250
    config.checkpoint_every = 250
    config.model.width = 32
    config.model.num_stages = 5
    return config
