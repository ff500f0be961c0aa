"""One picture, as in the paper: 100,000 steps of batch 5 at up to 330 pixels.

    python -m siv_jax.main --config single_image --config.data.path photo.jpg

Add --config.data.max_size 128 --config.num_steps 20000 for a first look on a small machine.
"""

from siv_jax import config as config_lib


def get_config():
    return config_lib.default()
