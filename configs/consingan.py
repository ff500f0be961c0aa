"""ConSinGAN as in the paper, for a GPU: six stages of 2,000 steps, at up to 250 pixels.

    python -m siv_jax.main --config consingan --config.data.path photo.jpg
    python -m siv_jax.main --config consingan:retarget --config.data.path photo.jpg

Modes: generation (samples of any size), retarget (other sizes, layout kept), animation, harmonization and editing (of
pictures that are put in afterwards; finetune.workdir and finetune.image train on for one of them). On a CPU take
consingan_small.
"""

from siv_jax import config as config_lib
from siv_jax.errors import UserError

# Mode -> what the paper's code, or its author's advice, has otherwise.
MODES = {
    "generation": {},
    "retarget": {},
    "animation": {"model.min_size": 20},
    "harmonization": {
        "num_steps": 1000,
        "model.num_stages": 3,
        "model.min_size": 120,
        "model.slope": 0.3,
        "model.batch_norm": True,
    },
    "editing": {"num_steps": 1000, "model.batch_norm": True},
}


def get_config(mode="generation"):
    if mode not in MODES:
        raise UserError(f"there is no mode {mode}: give consingan:MODE with one of {', '.join(MODES)}")
    config = config_lib.default("consingan")
    config.model.mode = mode
    config.sample_every = 500
    config.checkpoint_every = 500
    config.update_from_flattened_dict(MODES[mode])
    return config
