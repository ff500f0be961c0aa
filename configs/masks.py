"""A photo and its mask, learnt at a small size on a CPU and rendered at the photo's size, each with its mask.

    python -m siv_jax.main --config masks --config.data.path photo.jpg --config.data.mask mask.png

OSMIS with the recipe of the config quick: the composition alone at 32 pixels, small networks, a higher learning rate, a
diversity regularization that steers itself, and samples chosen for variety. masks_paper has the values of the
original's run.
"""

from siv_jax import config as config_lib


def get_config():
    config = config_lib.default("osmis")
    config.time_limit = "10m"
    config.data.path = "example:balloons"
    config.data.mask = "example:balloons"
    config.data.max_size = 32
    config.num_steps = 4000
    config.sample_every = 500
    config.checkpoint_every = 500
    config.model.ch_g = 8
    config.model.ch_d = 8
    config.mask.bernoulli_steps = 800
    config.optim.lr_g = 1e-3
    config.optim.lr_d = 1e-3
    config.augment.image = 0.3
    config.augment.feature = 0.8
    config.loss.diversity_weight = 0.06
    config.loss.diversity_target = 0.95
    config.loss.diversity_scale = "relative"
    config.ema.decay = 0.995
    config.candidates = 8
    return config
