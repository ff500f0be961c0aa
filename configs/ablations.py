"""The paper's ablations, Tables 3 to 6: the single_image setting with one thing changed.

    python -m siv_jax.main --config ablations:no_dr --config.data.path photo.jpg --workdir runs/no_dr

python -m siv_jax.tables --table 3 (to 6) trains them all and prints the paper's tables beside ours. For a clip add
--config.num_steps 300000, as the config single_video has it.
"""

from siv_jax import config as config_lib
from siv_jax.errors import UserError

# Name -> the settings that it changes. Rows that are the same model, such as lambda 0 and no DR, stand here once.
ABLATIONS = {
    "full": {},
    "no_layout": {"model.branches": "content"},
    "no_content": {"model.branches": "layout"},
    "no_branches": {"model.branches": "none"},
    "no_dr": {"loss.diversity": "none"},
    "no_fa": {"augment.feature": 0.0},
    "no_low_level": {"loss.low_level": False},
    "zcr": {"loss.diversity": "zcr"},
    "ds": {"loss.diversity": "ds"},
    "image_dr": {"loss.diversity": "image"},
    "lambda_0.05": {"loss.diversity_weight": 0.05},
    "lambda_0.5": {"loss.diversity_weight": 0.5},
    **{f"low_level_{n}": {"model.num_blocks_d": 7, "model.num_blocks_low_level": n} for n in range(1, 7)},
}


def get_config(name="full"):
    if name not in ABLATIONS:
        raise UserError(f"there is no ablation {name}: give ablations:NAME with one of {', '.join(ABLATIONS)}")
    config = config_lib.default()
    config.update_from_flattened_dict(ABLATIONS[name])
    return config
