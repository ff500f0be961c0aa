"""One clip of a few seconds, as in the paper: 300,000 steps of batch 5 over 60 to 100 frames.

    python -m siv_jax.main --config single_video --config.data.path clip.mp4

--config.data.start and .end choose seconds of the clip, --config.data.frame_stride n keeps every n-th frame.
Samples are still pictures, not clips.
"""

from siv_jax import config as config_lib


def get_config():
    config = config_lib.default()
    config.num_steps = 300_000
    return config
