"""siv_jax from Python: train, load, sample, walk between samples, evaluate, by the functions of the commands."""

import dataclasses
import difflib
from collections.abc import Callable
from pathlib import Path

import ml_collections
import numpy as np

from siv_jax import config as config_lib
from siv_jax.cli import process as command_line
from siv_jax.cli import training_flags as arguments
from siv_jax.config import Config
from siv_jax.errors import UserError
from siv_jax.sampling import image_files as pictures
from siv_jax.sampling import sample_files as sampling
from siv_jax.sampling.trained_model import TrainedModel
from siv_jax.train import single as training


class Model(TrainedModel):
    """A trained model. Beside the methods of TrainedModel, which give float32 images, it gives uint8 pictures.

    Attributes:
      workdir: folder of the run.
      step: completed training steps.
      config: of the run.
      model: its plan (height, width, channels, ...), pixel format and source.
    """

    def __init__(self, workdir: Path):
        """See `load`."""
        super().__init__(workdir)
        self.workdir = workdir

    def __repr__(self) -> str:
        plan = self.model.plan
        return f"<siv_jax.Model of {self.model.source} at {plan.width}x{plan.height} after {self.step} steps>"

    def sample(self, n: int = 20, seed: int = 0, start: int = 0) -> np.ndarray:
        """Samples number `start` to `start + n` of `seed`: uint8 [n, H, W, C].

        The same seed gives the pictures that `python -m siv_jax.sample` writes. Of sources that are not 8-bit
        `generate(latents(n, seed))` gives the full depth, float32 in [-1, 1].

        Raises:
          UserError: a number out of its range.
        """
        _whole("n", n, 1, 1_000_000)
        _whole("seed", seed, 0, 2**32 - 1)
        _whole("start", start, 0, 2**31 - 1 - n)
        return pictures.to_uint8(self.generate(self.latents(n, seed, start)))

    def interpolate(self, anchors: int | np.ndarray = 4, frames_between: int = 30, seed: int = 0) -> np.ndarray:
        """A closed walk through the latent space: uint8 [k * frames_between, H, W, C].

        Args:
          anchors: k >= 2 samples to pass: latents [k, noise_dim], or how many, latents 0 to k of `seed`.
          frames_between: pictures from one of them to the next; picture 0, frames_between, ... are the samples.
          seed: of the latents, where `anchors` is a number.

        Raises:
          UserError: a number out of its range, or latents of another shape.
        """
        _whole("frames_between", frames_between, 1, 10_000)
        _whole("seed", seed, 0, 2**32 - 1)
        if not isinstance(anchors, np.ndarray):
            _whole("anchors", anchors, 2, 1000)
            anchors = self.latents(anchors, seed)
        self.check_latents(anchors)
        _whole("the number of anchors", len(anchors), 2, 1000)
        return pictures.to_uint8(self.generate(sampling.walk(anchors, frames_between)))


def train(
    config: Config | ml_collections.ConfigDict | str | Path,
    workdir: str | Path | None = None,
    overrides: dict[str, object] | None = None,
    *,
    devices: int = 0,
    say: Callable[[str], None] = print,
    watch: Callable[[int], None] | None = None,
    **settings: object,
) -> Model:
    """Trains as `python -m siv_jax.main` does, or goes on with the run in `workdir`; returns the trained model.

        siv_jax.train("photo.jpg", num_steps=5000)
        siv_jax.train("quick", workdir="runs/mine", overrides={"data.path": "photo.jpg", "model.ch_g": 16})

    Args:
      config: settings: a Config, a ConfigDict or the name or path of a config file ("quick", "configs/mine.py",
        "ablations:no_dr"). Or what to train on, under the config single_image: a picture, a clip, a folder of
        frames, anything that data.path takes.
      workdir: where the run lives; runs/NAME, after the input, if not given.
      overrides: other values of settings, by dotted names: {"data.max_size": 128}.
      devices: how many to use; 0: all.
      say: takes each line that the user is told.
      watch: called after each sample grid is written, with the number of completed steps.
      settings: as overrides, for names without a dot: num_steps=5000.

    Raises:
      UserError: input, settings or a workdir that cannot be used; nothing is changed.
      DivergedError: a loss or a weight is not finite; the last good checkpoint is kept.
      KeyboardInterrupt, SystemExit: SIGINT or SIGTERM stopped the run after its state was saved; the same call
        goes on from there.
    """
    typed = with_overrides(_config(config), {**(overrides or {}), **settings})
    _whole("devices", devices, 0, 10**6)
    command_line.cache_compiled_programs()
    folder = Path(workdir) if workdir is not None else training.default_folder(typed)
    stopped = training.train(typed, folder, devices, dry_run=False, say=say, watch=watch)
    if stopped == "SIGINT":
        raise KeyboardInterrupt
    if stopped:
        raise SystemExit(command_line.STOPPED_BY[stopped])
    return load(folder)


def load(workdir: str | Path) -> Model:
    """The newest checkpoint of a run, ready to sample.

    Raises:
      UserError: `workdir` is not the workdir of a run, or holds no usable checkpoint.
    """
    command_line.cache_compiled_programs()
    return Model(Path(workdir))


def evaluate(
    workdir: Model | str | Path | None = None,
    *,
    real: str | Path | None = None,
    fake: str | Path | None = None,
    num: int | None = None,
    seed: int | None = None,
    size: tuple[int, int] | None = None,
    pairing: str | None = None,
    lpips: str = "alex",
    cache: str | Path | None = None,
    out: str | Path | None = None,
) -> dict:
    """Measures samples as `python -m siv_jax.evaluate` does, with its options; returns what metrics.json holds.

        siv_jax.evaluate("runs/photo", num=100)["mean"]["lpips_diversity"]["value"]
        siv_jax.evaluate(real="photo.jpg", fake="samples_of_another_model", out="measured")

    Args:
      workdir: of a run, or a folder of workdirs; or a loaded model. Not with `fake`.
      real: training picture, clip or folder of frames, or a folder of several.
      fake: folder of samples, or a folder with one for each name in `real`.
      num: samples that are drawn from each run (100), with latents of `seed` (0). Not with `fake`.
      size: (height, width) that samples and training images are brought to.
      pairing: "names" or "set": which of the training images each sample of `fake` belongs to.
      lpips: "alex", "vgg" or "alex01", the network of LPIPS.
      cache: folder of the weights.
      out: folder for metrics.json and report.html; WORKDIR/evaluation if not given.

    Raises:
      UserError: input that cannot be used, or weights that are not fetched: python -m siv_jax.weights fetch.
    """
    from siv_jax.evaluate import measure_as_asked

    folder = workdir.workdir if isinstance(workdir, Model) else workdir
    options = {
        **{"workdir": folder, "real": real, "fake": fake, "num": num, "seed": seed, "pairing": pairing},
        **{"size": size and f"{size[1]}x{size[0]}", "lpips": lpips, "cache": cache, "out": out},
    }
    return measure_as_asked([f"--{name}={value}" for name, value in options.items() if value is not None])


def with_overrides(config: Config, overrides: dict[str, object]) -> Config:
    """`config` with other values under dotted names, checked.

    Raises:
      UserError: an unknown name, or a value that it cannot have.
    """
    values = dataclasses.asdict(config)
    known = config_lib.flatten(config)
    for key, value in overrides.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.4)
            raise UserError(f"unknown config key {key}{f'; did you mean {near[0]}?' if near else ''}")
        *groups, last = key.split(".")
        group = values
        for name in groups:
            group = group[name]
        group[last] = str(value) if isinstance(value, Path) else value
    return config_lib.from_dict(values)


def _config(given: object) -> Config:
    if isinstance(given, Config):
        return given
    if isinstance(given, ml_collections.ConfigDict):
        return config_lib.from_config_dict(given)
    if not isinstance(given, str | Path):
        raise UserError(f"train takes a config, its name or a path, not {type(given).__name__}")
    stem = str(given).partition(":")[0]
    if stem.endswith(".py") or stem in arguments.config_names():
        return arguments.parse(["--config", str(given)]).config
    return with_overrides(Config(), {"data.path": str(given)})


def _whole(name: str, value: object, lowest: int, highest: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not lowest <= value <= highest:
        raise UserError(f"{name} is {value!r}; it must be a whole number from {lowest} to {highest}")
