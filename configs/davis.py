"""A video of DAVIS 2017 (480p) through TensorFlow Datasets, as in the paper's single-video setting.

    tfds build davis/480p        # once; needs TensorFlow, some GB of disk and the data set's terms
    python -m siv_jax.main --config davis --config.data.tfds_index 3

The paper trains on 15 videos of 60 to 100 frames of DAVIS and YFCC100M; --config.data.tfds_index chooses the video.
"""

from siv_jax import config as config_lib


def get_config():
    config = config_lib.default()
    config.num_steps = 300_000
    config.data.path = "tfds:davis/480p"
    config.data.tfds_split = "train"
    config.data.tfds_feature = "video/frames"
    return config
