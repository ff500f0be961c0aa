"""A model for each picture of a folder, with the settings of single_image.

    python -m siv_jax.main --config fleet --config.data.path pictures/ --workdir runs/fleet

Each picture gets a workdir of its own, runs/fleet/NAME, for sample, evaluate and main as any other. The same command
goes on where it was stopped and repeats no finished picture.
"""

from siv_jax import config as config_lib


def get_config():
    config = config_lib.default()
    config.fleet.enabled = True
    return config
