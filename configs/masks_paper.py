"""A picture or a clip with masks, as the original ran it: 150,000 steps of batch 5 at up to 330 pixels, for a GPU.

    python -m siv_jax.main --config masks_paper --config.data.path photo.jpg --config.data.mask mask.png

Add --config.data.max_size 128 --config.num_steps 20000 --config.mask.bernoulli_steps 2000 for a first look.
"""

from siv_jax import config as config_lib


def get_config():
    config = config_lib.default("osmis")
    config.num_steps = 150_000
    return config
