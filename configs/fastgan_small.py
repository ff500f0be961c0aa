"""FastGAN for CPUs: narrow networks at 64 pixels, plain squared differences, nothing to download.

python -m siv_jax.main --config fastgan_small --config.data.path pictures/
"""

from siv_jax import config as config_lib


def get_config():
    config = config_lib.default("fastgan")
    config.num_steps = 5000
    config.batch_size = 4
    config.data.max_size = 64
    config.model.ch_g = 16
    config.model.ch_d = 16
    config.model.ch_decoder = 16
    config.model.noise_dim = 64
    config.loss.reconstruction = "mse"
    config.optim.lr_g = 5e-4
    config.optim.lr_d = 5e-4
    config.ema.decay = 0.995
    return config
