"""SinGAN's golden arrays in the layout of siv_jax.models.singan."""

import functools

import golden
import numpy as np

from siv_jax import config as config_lib
from siv_jax.models.singan import original_weights
from siv_jax.models.singan.chain import Chain
from siv_jax.models.singan.plan import make_plan
from siv_jax.nn import flat


def nhwc(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array.transpose(0, 2, 3, 1))


@functools.cache
def load(name: str) -> golden.Arrays:
    return golden.Arrays(name)


def config_of(name: str, as_run: str):
    """Our config of the settings that the json beside the arrays names."""
    given = golden.about(name)["config"]
    overrides = {
        "data.max_size": given["max_size"],
        "model.min_size": given["min_size"],
        "model.width": given["nfc"],
        "model.scale_factor": given.get("scale_factor_init", 0.75),
        "num_steps": given["niter"],
        "loss.as_run": as_run,
    }
    default = config_lib.from_config_dict(config_lib.default("singan"))
    return config_lib.with_overrides(default, {key: value for key, value in overrides.items() if value is not None})


def plan_of(name: str, config):
    picture = load(name)["picture/input"]
    return make_plan(*picture.shape[2:], picture.shape[1], config)


def params(arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Flat parameters of a network from its arrays by name: head.conv.weight and so on."""
    return flat.joined(original_weights.params(dict(arrays)))


def stats(arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Flat running statistics."""
    return flat.joined(original_weights.stats(dict(arrays)))


def scale_weights(name: str, scale: int, prefix: str = "") -> dict:
    found = load(name).under(f"{prefix}s{scale}/G/" if prefix else f"s{scale}/final/G/")
    return {"params": params(found), "stats": stats(found)}


def weights(name: str, prefix: str = "", scales: int = 0) -> dict:
    """What a sampler takes, of all scales or of the first `scales`."""
    arrays = load(name)
    there = [i for i in range(100) if f"{prefix}s{i}/noise_amp" in arrays.arrays][: scales or None]
    # The replays have the draws of the file that they replay.
    given = load(name.replace("replay_singan_fresh", "singan"))
    z_opt = nhwc(given[f"{prefix}s0/z_opt"])[..., :1]
    return {
        "scales": [scale_weights(name, i, prefix) for i in there],
        "amplitudes": np.array([arrays[f"{prefix}s{i}/noise_amp"] for i in there], np.float32),
        "z_star": z_opt if prefix == "animation/" else z_opt[:, 5:-5, 5:-5],
    }


def start(name: str, scale: int, player: str) -> dict[str, np.ndarray]:
    """Arrays of a network before the training of a scale."""
    arrays = load(name)
    return arrays.under(f"s{scale}/init/{player}/") or arrays.under(f"s{scale - 1}/final/{player}/")


def draws(name: str, scale: int, turns: int) -> list[dict]:
    """The recorded randomness of every step of a scale."""
    arrays = load(name)
    recorded = arrays.under(f"s{scale}/train_noise/")
    noises = [nhwc(recorded[key]) for key in sorted(recorded)][1:]  # the first draw is not used
    alphas, found = arrays[f"s{scale}/train_alpha"].reshape(-1, turns), []
    for alpha in alphas:
        step = {"z_star": noises.pop(0) if scale == 0 else None, "noise": noises.pop(0), "alphas": alpha}
        of_turns = [[noises.pop(0) for _ in range(scale)] for _ in range(turns)]
        step["below"] = [np.stack(of_scale) for of_scale in zip(*of_turns, strict=True)]
        found.append(step)
    assert not noises
    return found


def chain(name: str, config) -> Chain:
    return Chain(plan_of(name, config), noise_padding=False)
