"""The golden arrays (weights, outputs, losses, gradients of the original implementation) as this package's trees."""

import json
import re
from pathlib import Path

import numpy as np

from siv_jax.config import Config, ModelConfig
from siv_jax.models.siv_gan import old_weights as reference_weights
from siv_jax.models.siv_gan.plan import Plan, make_plan

_PARTS = {"body_ll": "low_level", "body_content": "content", "body_layout": "layout"}
_LOGITS = {"final_ll": "low_level", "final_content": "content", "final_layout": "layout"}
GOLDEN_PART = {"low_level": "low-level", "content": "content", "layout": "layout"}


class Golden:
    def __init__(self, folder: Path, name: str):
        self.arrays = dict(np.load(folder / f"{name}.npz"))
        self.double = dict(np.load(folder / f"{name}_f64.npz"))
        self.about = json.loads((folder / f"{name}.json").read_text())
        settings = self.about["config"]
        self.model = ModelConfig(
            ch_g=settings["ch_G"],
            ch_d=settings["ch_D"],
            noise_dim=settings["noise_dim"],
            num_blocks_d=settings["num_blocks_d"],
            num_blocks_low_level=settings["num_blocks_d0"],
        )
        self.config = Config(batch_size=settings["batch"], model=self.model)
        height, width = settings["resolution_HxW"]
        self.plan: Plan = make_plan(height, width, 3, settings["max_size"], self.model)
        self.no_gradient = set(self.about["zero_gradients_in_float64"]["names"])

    def under(self, prefix: str, arrays: dict | None = None) -> dict[str, np.ndarray]:
        """The arrays below `prefix`, named by what follows it."""
        arrays = self.arrays if arrays is None else arrays
        return {name[len(prefix) :]: value for name, value in arrays.items() if name.startswith(prefix)}

    def images(self, prefix: str) -> list[np.ndarray]:
        """prefix0, prefix1, ... as NHWC."""
        found = self.under(prefix)
        return [found[str(i)].transpose(0, 2, 3, 1) for i in range(len(found))]

    def generator(self, prefix: str = "G_state/"):
        return reference_weights.generator(self.under(prefix))

    def discriminator(self, prefix: str = "D_state/"):
        return discriminator(self.under(prefix))

    def logits(self, kind: str) -> dict[str, list[np.ndarray]]:
        found = self.under(f"D_logits/{kind}/")
        return {
            ours: [
                found[f"{theirs}_{k}"].transpose(0, 2, 3, 1)
                for k in range(sum(name.startswith(theirs) for name in found))
            ]
            for ours, theirs in GOLDEN_PART.items()
        }


def discriminator(tensors: dict[str, np.ndarray]) -> tuple[dict, dict]:
    params, vectors = {}, {}
    for name in {key.rsplit(".", 1)[0] for key in tensors}:
        layer, pair = reference_weights.convolution(tensors, name)
        path = discriminator_path(name)
        for tree, value in ((params, layer), (vectors, pair)):
            for step in path[:-1]:
                tree = tree.setdefault(step, {})
            tree[path[-1]] = value
    return params, vectors


def discriminator_path(name: str) -> tuple[str, ...]:
    group, index, *layer = name.split(".")
    if group == "rgb_to_features":
        return (f"from_image_{index}",)
    if group in _LOGITS:
        return (f"{_LOGITS[group]}_logit_{index}",)
    return (f"{_PARTS[group]}_{index}", {"conv_sc": "shortcut"}.get(layer[0], layer[0]))


def generator_path(name: str) -> tuple[str, ...]:
    if name == "first_linear":
        return ("dense",)
    if match := re.fullmatch(r"rgb_converters\.(\d+)", name):
        return (f"to_image_{match.group(1)}",)
    _, index, layer = name.split(".")
    return (f"block_{index}", {"conv_sc": "shortcut"}.get(layer, layer))


def to_torch_layout(path: tuple[str, ...], leaf: str, array: np.ndarray) -> np.ndarray:
    """A parameter or gradient of this package in the original's axis order."""
    if leaf == "bias":
        return array
    return array.transpose(0, 3, 1, 2) if path == ("dense",) else array.transpose(3, 2, 0, 1)
