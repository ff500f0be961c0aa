"""A picture of Places365 through TensorFlow Datasets, as in the paper's single-image setting.

    tfds build places365_small   # once; needs TensorFlow and 31 GB of disk
    python -m siv_jax.main --config places --config.data.tfds_index 7

The paper trains on the 50 pictures of Places that SinGAN chose; --config.data.tfds_index chooses the picture.
"""

from siv_jax import config as config_lib


def get_config():
    config = config_lib.default()
    config.data.path = "tfds:places365_small"
    config.data.tfds_split = "validation"
    config.data.tfds_feature = "image"
    return config
