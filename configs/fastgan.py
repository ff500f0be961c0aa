"""FastGAN on a folder of pictures of one kind (5 to some thousands): 50,000 steps of batch 8 at 256 pixels.

    python -m siv_jax.weights fetch    # once: LPIPS's network, about 145 MB
    python -m siv_jax.main --config fastgan --config.data.path pictures/

fastgan:512 and fastgan:1024 are the other sizes that were published; fastgan:64 and fastgan:128 are our own. The
size is that of the longer side. --config.augment.flip True also learns mirror images, as the original does.
"""

from siv_jax import config as config_lib
from siv_jax.errors import UserError


def get_config(size="256"):
    if not size.isdecimal():
        raise UserError(f"fastgan:{size} is no size: give fastgan:SIZE with 64, 128, 256, 512 or 1024")
    config = config_lib.default("fastgan")
    config.data.max_size = int(size)
    return config
