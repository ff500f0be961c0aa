"""InGAN on a CPU: crops of 48 pixels of a picture of 96, a narrow network, few and large steps. Ours, not the paper's.

python -m siv_jax.main --config ingan_quick --config.data.path photo.jpg
"""

from siv_jax import config as config_lib


def get_config():
    config = config_lib.default("ingan")
    config.num_steps = 2400
    config.sample_every = 400
    config.checkpoint_every = 400
    config.data.max_size = 96
    config.model.ch_g = 16
    config.model.ch_d = 16
    config.model.num_blocks_g = 2
    config.transform.crop = 48
    config.transform.min_scale = 0.5
    config.transform.max_scale = 2.0
    config.transform.growth_steps = 500
    config.transform.canvases = 1
    config.loss.inverse_start = 500
    config.loss.even_scales_step = 800
    config.optim.lr_g = 5e-4
    config.optim.lr_d = 5e-4
    config.optim.decay_start = 1000
    config.optim.decay_end = 2400
    return config
