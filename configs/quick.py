"""A photo, or the drawn picture, learnt in a minute and a half on two CPU cores and rendered at its own size.

    python -m siv_jax.main --config quick --config.data.path photo.jpg

The network learns the composition alone, at 32 pixels; rendering brings the detail from the photo. Small networks, a
higher learning rate, more feature augmentation than the paper's, a diversity regularization that steers itself, and
samples that are each the one of eight draws that differs most from the samples before it, among those with the photo's
colours in their shares that are no copies of it.
"""

from siv_jax import config as config_lib


def get_config():
    config = config_lib.default()
    config.time_limit = "90s"
    config.data.path = "example:balloons"
    config.data.max_size = 32
    config.num_steps = 4000
    config.sample_every = 500
    config.checkpoint_every = 500
    config.model.ch_g = 8
    config.model.ch_d = 8
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
