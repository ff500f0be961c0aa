"""Golden arrays of ConSinGAN under this package's names: settings, weights, and the trainings that a file holds."""

import functools
import re

import golden as golden_files
import jax.numpy as jnp
import numpy as np
from PIL import Image

from siv_jax.models.consingan import original_weights, parts
from siv_jax.models.consingan.config import Config, LossConfig, ModelConfig, OptimConfig
from siv_jax.models.consingan.original_weights import discriminator_tree, place, tree
from siv_jax.models.consingan.plan import Plan, make_plan
from siv_jax.models.consingan.stage import Draws, Stage
from siv_jax.nn import flat, original_tensors

# What the files leave out, as the original has it.
DEFAULTS = {"nfc": 64, "lrelu_alpha": 0.05, "activation": "lrelu", "batch_norm": 0, "alpha": 10, "lambda_grad": 0.1}
DEFAULTS |= {"lr_g": 5e-4, "lr_d": 5e-4, "beta1": 0.5, "Gsteps": 3, "Dsteps": 3, "gamma": 0.1, "lr_scale": 0.1}


def belongs(name: str, about: dict) -> bool:
    return "consingan" in name or about.get("system", "").lower().startswith("consingan")


load = functools.cache(golden_files.Arrays)


def config_of(settings: dict) -> Config:
    given = DEFAULTS | settings
    return Config(
        num_steps=given.get("niter", 1),
        model=ModelConfig(
            mode=given["train_mode"],
            width=given["nfc"],
            num_stages=given["train_stages"],
            min_size=given["min_size"],
            train_depth=given.get("train_depth", 3),
            activation=given["activation"],
            slope=given["lrelu_alpha"],
            batch_norm=bool(given["batch_norm"]),
            as_run=True,
        ),
        loss=LossConfig(reconstruction=float(given["alpha"]), gradient_penalty=given["lambda_grad"]),
        optim=OptimConfig(
            lr_g=given["lr_g"],
            lr_d=given["lr_d"],
            lr_scale=given["lr_scale"],
            beta1=given["beta1"],
            updates_d=given["Dsteps"],
            updates_g=given["Gsteps"],
        ),
    )


def nhwc(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array.transpose(0, 2, 3, 1))


def ours(tensor: np.ndarray) -> np.ndarray:
    return original_tensors.kernel(tensor)


def generator(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Vectors of the generator's parts."""
    return {part: flat.joined(inner) for part, inner in tree(tensors).items()}


def discriminator(tensors: dict[str, np.ndarray]) -> np.ndarray:
    return flat.joined(discriminator_tree(tensors))


def generator_place(name: str) -> tuple[str, ...]:
    return place(name)


def discriminator_place(name: str) -> tuple[str, ...]:
    return original_weights.discriminator_place(place(name))


class Training:
    """A whole training of a file: the arrays under a prefix, whose stages are named `mark`0, `mark`1, ..."""

    def __init__(self, name: str, prefix: str, mark: str, settings: dict):
        self.arrays, self.about, self.prefix, self.mark = load(name), golden_files.about(name), prefix, mark
        picture = read_picture(self.arrays, self.about, settings)
        self.config = config_of(settings)
        model = self.config.model
        self.plan: Plan = make_plan(*picture.shape[1:3], picture.shape[3], settings["max_size"], model)
        self.stages = [Stage(self.plan, self.config, number) for number in range(self.plan.num_stages)]
        self.generator = parts.Generator(model, self.plan.channels)
        self.discriminator = parts.discriminator(self.plan, model)
        self.reals = [self.stages[0].at_stage(picture[0], number) for number in range(self.plan.num_stages)]

    def name(self, stage: int, rest: str) -> str:
        return f"{self.prefix}{self.mark}{stage}/{rest}"

    def under(self, stage: int, rest: str) -> dict[str, np.ndarray]:
        return self.arrays.under(self.name(stage, rest))

    def weights(self, stage: int, when: str = "final") -> tuple[dict, np.ndarray]:
        return generator(self.under(stage, f"{when}/G/")), discriminator(self.under(stage, f"{when}/D/"))

    def fixed(self, stage: int) -> list[np.ndarray]:
        found = [nhwc(self.arrays[self.name(number, "fixed_noise")]) for number in range(stage + 1)]
        return [found[0], *(noise[0] for noise in found[1:])]

    def amplitudes(self, stage: int) -> np.ndarray:
        return np.array([self.arrays[self.name(number, "noise_amp")] for number in range(stage + 1)], np.float32)

    def real(self, stage: int) -> np.ndarray:
        """The original's picture of a stage."""
        name = f"{self.prefix}real/{stage}" if self.prefix else self.name(stage, "real")
        return nhwc(self.arrays[name])

    def first_gradients(self, stage: int) -> dict[str, dict]:
        """Of the generator in the first step, by part."""
        found = self.under(stage, "it0/grad_G/")
        return tree({name.removeprefix("step1/"): tensor for name, tensor in found.items()})

    def samples(self) -> dict[str, tuple[list[np.ndarray], np.ndarray]]:
        """Name -> noises of all stages, and the picture made of them by the final weights."""
        found = {}
        for key in self.arrays.under(f"{self.prefix}sample/"):
            what = key.split("/")[0]
            if not key.endswith("/out"):
                continue
            noises = self.noises(f"{self.prefix}sample/{what}/noise/")
            if what.startswith("start"):  # below this stage the picture's own noise, then that of the probes
                start = int(what[len("start") :])
                fixed = self.fixed(self.plan.num_stages - 1)
                own = [fixed[0], *(noise[None] for noise in fixed[1:])]
                noises = own[:start] + self.noises("probe/noise/")[start:]
            found[what] = noises, nhwc(self.arrays[f"{self.prefix}sample/{what}/out"])
        own = self.arrays.arrays.get(f"{self.prefix}sample/reconstruction")
        if own is not None:
            fixed = self.fixed(self.plan.num_stages - 1)
            found["reconstruction"] = [fixed[0], *(noise[None] for noise in fixed[1:])], nhwc(own)
        return found

    def noises(self, prefix: str) -> list[np.ndarray]:
        """prefix0, prefix1, ... as [1, h, w, c]."""
        found = self.arrays.under(prefix)
        return [nhwc(found[key]) for key in sorted(found, key=int)]

    def walk(self) -> tuple[list[list[np.ndarray]], np.ndarray, str] | None:
        """Sets of draws, frames [n, H, W, C] and what the file says of them; None where there is no animation."""
        stages = self.plan.num_stages
        frames = f"{self.prefix}walk/frames"
        if frames in self.arrays.arrays:
            sets = {key.split("/")[0] for key in self.arrays.under(f"{self.prefix}walk/noise/")}
            draws = [self.noises(f"{self.prefix}walk/noise/set{i}/") for i in range(len(sets))]
            return draws, self.arrays[frames], self.about["arrays"][frames]["what"]
        if not self.prefix and "animation/frames" in self.arrays.arrays:
            every = self.noises("animation/noise/")
            draws = [every[i : i + stages] for i in range(0, len(every), stages)]
            return draws, nhwc(self.arrays["animation/frames"]), self.about["arrays"]["animation/frames"]["what"]
        return None

    def draws(self, stage: int) -> list[Draws]:
        """Of all iterations."""
        found = self.under(stage, "train_noise/")
        noises = [nhwc(found[key]) for key in sorted(found, key=lambda key: list(map(int, re.findall(r"\d+", key))))]
        if not any(key.startswith("it") for key in found):
            fixed_too = len(noises) % (stage + 1) if stage else self.config.model.mode == "animation"
            noises = noises[int(fixed_too) :]
        each, updates = stage + 1, self.config.optim.updates_d
        alphas = self.arrays[self.name(stage, "train_alpha")].reshape(-1, updates)
        nothing = jnp.zeros(1), jnp.zeros((1, 0))
        return [
            Draws([jnp.asarray(noise) for noise in noises[i * each : (i + 1) * each]], jnp.asarray(row), *nothing)
            for i, row in enumerate(alphas)
        ]


@functools.cache
def trainings(name: str) -> dict[str, Training]:
    """All trainings of a file by the part of it that holds them."""
    arrays, about = load(name), golden_files.about(name)
    found = {}
    for key in arrays.arrays:
        match = re.fullmatch(r"(.*?)(st|s)0/init/G/head\.conv\.weight", key)
        if match:
            prefix, mark = match.groups()
            settings = about["config"][prefix[:-1]] if prefix else about["config"]
            found[prefix or name] = Training(name, prefix, mark, settings)
    return found


def read_picture(arrays: golden_files.Arrays, about: dict, settings: dict) -> np.ndarray:
    """[1, H, W, C] in [-1, 1]: the file's own copy, or the picture of that name."""
    for key in ("picture/input", "source"):
        if key in arrays.arrays:
            return nhwc(arrays[key])
    path = golden_files.FOLDER.parent / "data" / "places" / (settings.get("picture") or about["picture"])
    pixels = np.asarray(Image.open(path).convert("RGB"), np.float32)
    return (pixels / np.float32(255) - np.float32(0.5))[None] * 2


class Single:
    """One trained network: the arrays of a file without a training."""

    def __init__(self, name: str):
        arrays, about = load(name), golden_files.about(name)
        self.config = config_of(about["config"])
        model, picture = self.config.model, read_picture(arrays, about, about["config"])
        self.plan = make_plan(*picture.shape[1:3], picture.shape[3], about["config"]["max_size"], model)
        self.stage = Stage(self.plan, self.config, self.plan.num_stages - 1)
        self.generator = parts.Generator(model, self.plan.channels)
        self.critic = parts.discriminator(self.plan, model)
        self.reals = [self.stage.at_stage(picture[0], number) for number in range(self.plan.num_stages)]
        self.vectors = generator(arrays.under("G_state/"))
        self.params_d = discriminator(arrays.under("D_state/"))
        self.amplitudes = arrays["noise_amp"].astype(np.float32)
        self.noises, self.fixed, self.wide = map(arrays.images, ("noise/", "fixed_noise/", "noise_wide/"))
        # The last bias of D cancels between real and fake; the biases add nothing to the penalty.
        self.no_gradient = {"D_grad/tail.bias"}


single = functools.cache(Single)
