"""ConSinGAN for a CPU: five stages of 500 steps with narrow networks, at up to 128 pixels.

    python -m siv_jax.main --config consingan_small --config.data.path photo.jpg
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
