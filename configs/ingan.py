"""InGAN: one picture, retargeted to any size and shape, as published: 75,000 steps, crops of 256 pixels.

    python -m siv_jax.main --config ingan --config.data.path photo.jpg

For a GPU; --config ingan_quick is for a CPU. --config.transform.max_shift 0.3 trains shears and trapezoids, too.
"""

from siv_jax import config as config_lib


def get_config():
    return config_lib.default("ingan")
