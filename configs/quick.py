"""A drawn picture, learnt in some three minutes on two CPU cores.

    python -m siv_jax.main --config quick

Small networks, a higher learning rate and a lighter diversity regularization than the paper's: at this size
the paper's lambda overwhelms the discriminator, 0.02 lets samples become alike, and image augmentation as in the paper
(p = 0.7, here 0.3) makes so short a run learn less. The same settings give a first look at a photo of one's own with
--config.data.path photo.jpg.
"""

from siv_jax import config as config_lib


def get_config():
    config = config_lib.default()
    config.data.path = "example:balloons"
    config.data.max_size = 64
    config.num_steps = 6000
    config.sample_every = 500
    config.checkpoint_every = 500
    config.model.ch_g = 8
    config.model.ch_d = 8
    config.model.num_blocks_d = 5
    config.optim.lr_g = 1e-3
    config.optim.lr_d = 1e-3
    config.augment.image = 0.3
    config.loss.diversity_weight = 0.05
    config.ema.decay = 0.995
    return config
