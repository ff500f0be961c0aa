"""Every setting of a run: its name, type, default and meaning.

The dataclasses are the schema. `default()` turns them into the `ConfigDict` that config files edit and
`--config.key value` overrides; `from_config_dict` turns the result back into typed, frozen, checked
dataclasses, which is all that the rest of the package ever sees.
"""

import dataclasses
import json
import math
import typing
from pathlib import Path

import ml_collections

from siv_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class DataConfig:
    path: str = ""  # a picture, a clip, a folder of frames, an .npy or TIFF array, or tfds:name/config
    max_size: int = 330  # the longer side is scaled down to this many pixels before the plan is made
    background: tuple[int, int, int] = (255, 255, 255)  # RGB that transparent pictures are laid over
    start: float = 0.0  # seconds into the clip where reading starts
    end: float = 0.0  # seconds into the clip where reading ends; 0: at its end
    frame_stride: int = 1  # keep every n-th frame (paper, Fig. 5)
    max_frames: int = 100  # a longer clip is thinned to this many frames, spread evenly
    tfds_split: str = "train"  # split of a tfds: path
    tfds_index: int = 0  # which example of the split
    tfds_feature: str = ""  # feature that holds the picture or the frames; empty: the only one there is


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    ch_g: int = 32  # width multiplier of the generator
    ch_d: int = 32  # width multiplier of the discriminator
    noise_dim: int = 64  # length of the latent vector z
    num_blocks_g: int = 0  # generator blocks, 5 to 9; 0: from the picture's size
    num_blocks_d: int = 0  # discriminator blocks N_D; 0: from the generator's
    num_blocks_low_level: int = 0  # of these, low-level blocks N_ll (Table 6); 0: from the generator's
    branches: str = "both"  # both | content | layout | none: Table 3; none is one plain trunk
    dtype: str = (
        "auto"  # auto | float32 | bfloat16: arithmetic of the networks; auto: bfloat16 on GPU and TPU
    )
    remat: bool = False  # compute activations again in the backward pass: less memory, more arithmetic


@dataclasses.dataclass(frozen=True)
class LossConfig:
    adversarial: str = "bce"  # bce | hinge | wasserstein
    balance: str = "as_run"  # as_run | paper: weights of the discriminator's parts (eq. 1 and 3)
    low_level: bool = True  # False: Table 3, no low-level loss
    diversity: str = "feature"  # feature | image | zcr | ds | none (Table 4)
    diversity_scale: str = "as_run"  # as_run | paper: how eq. 4 sums over pairs and layers
    diversity_weight: float = 0.15  # lambda of eq. 5 (Table 5)


@dataclasses.dataclass(frozen=True)
class AugmentConfig:
    image: float = 0.7  # probability of each geometric transform of real and fake images; 0: none
    feature: float = 0.4  # probability of each feature augmentation of real images; 0: no FA (Table 3)


@dataclasses.dataclass(frozen=True)
class OptimConfig:
    lr_g: float = 2e-4
    lr_d: float = 2e-4
    beta1: float = 0.5
    beta2: float = 0.999
    eps: float = 1e-8


@dataclasses.dataclass(frozen=True)
class EmaConfig:
    decay: float = 0.9999  # of the average of the generator's weights that samples come from
    warmup: bool = True  # decay starts at 0.1 and rises as (1 + t) / (10 + t), so that short runs sample well


@dataclasses.dataclass(frozen=True)
class FleetConfig:
    enabled: bool = False  # data.path is a folder of pictures, each of which gets a model of its own
    strategy: str = "auto"  # auto | sequential | mapped | unrolled: how a device trains its models
    lanes: int = 0  # models at once on each device, mapped or unrolled; 0: chosen


@dataclasses.dataclass(frozen=True)
class Config:
    num_steps: int = 100_000
    batch_size: int = 5  # over all devices together
    seed: int = 0
    log_every: int = 50
    sample_every: int = 1000
    checkpoint_every: int = 1000
    keep_checkpoints: int = 3
    num_samples: int = 20  # pictures in the sample grid and in the final samples
    profile: int = 0  # steps recorded as a trace for TensorBoard and Perfetto, in WORKDIR/profile; 0: none
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    augment: AugmentConfig = AugmentConfig()
    optim: OptimConfig = OptimConfig()
    ema: EmaConfig = EmaConfig()
    fleet: FleetConfig = FleetConfig()


# Keys that may change between the first run of a workdir and its resumption: none of them touches the
# arithmetic of a step, but for rounding.
FREE_ON_RESUME = frozenset(
    {"num_steps", "log_every", "sample_every", "checkpoint_every", "keep_checkpoints", "data.path"}
    | {"profile", "model.remat", "fleet.strategy", "fleet.lanes"}
)

_CHOICES = {
    "model.branches": ("both", "content", "layout", "none"),
    "model.dtype": ("auto", "float32", "bfloat16"),
    "loss.adversarial": ("bce", "hinge", "wasserstein"),
    "loss.balance": ("as_run", "paper"),
    "loss.diversity": ("feature", "image", "zcr", "ds", "none"),
    "loss.diversity_scale": ("as_run", "paper"),
    "fleet.strategy": ("auto", "sequential", "mapped", "unrolled"),
}

# (lowest, highest) value, both allowed.
_RANGES = {
    "num_steps": (1, 10**9),
    "batch_size": (1, 4096),
    "seed": (0, 2**32 - 1),
    "log_every": (1, 10**9),
    "sample_every": (1, 10**9),
    "checkpoint_every": (1, 10**9),
    "keep_checkpoints": (1, 10**6),
    "num_samples": (1, 1000),
    "profile": (0, 1000),
    "data.max_size": (48, 1792),
    "data.start": (0.0, 1e6),
    "data.end": (0.0, 1e6),
    "data.frame_stride": (1, 10**6),
    "data.max_frames": (1, 10**5),
    "data.tfds_index": (0, 10**9),
    "model.ch_g": (1, 512),
    "model.ch_d": (8, 512),
    "model.noise_dim": (1, 4096),
    "model.num_blocks_g": (0, 9),
    "model.num_blocks_d": (0, 8),
    "model.num_blocks_low_level": (0, 7),
    "loss.diversity_weight": (0.0, 1e3),
    "augment.image": (0.0, 1.0),
    "augment.feature": (0.0, 1.0),
    "optim.lr_g": (0.0, 1.0),
    "optim.lr_d": (0.0, 1.0),
    "optim.beta1": (0.0, 0.999999),
    "optim.beta2": (0.0, 0.999999),
    "optim.eps": (1e-30, 1.0),
    "ema.decay": (0.0, 0.9999999),
    "fleet.lanes": (0, 1024),
}


def default() -> ml_collections.ConfigDict:
    """The paper's single-image setting as a ConfigDict, which config files edit."""
    return ml_collections.ConfigDict(dataclasses.asdict(Config()))


def from_config_dict(config: ml_collections.ConfigDict) -> Config:
    """Typed form of `config`, checked.

    Raises:
      UserError: an unknown key, a value of another type, out of its range, or at odds with another.
    """
    return from_dict(config.to_dict())


def from_dict(values: dict) -> Config:
    """As `from_config_dict`, from plain nested dictionaries such as `config.json` holds."""
    config = _build(Config, values, prefix="")
    _check(config)
    return config


def flatten(config: Config) -> dict[str, object]:
    """All settings under their dotted names: {"num_steps": 100000, "data.path": ..., ...}."""

    def walk(values: dict, prefix: str):
        for name, value in values.items():
            if isinstance(value, dict):
                yield from walk(value, f"{prefix}{name}.")
            else:
                yield prefix + name, value

    return dict(walk(dataclasses.asdict(config), ""))


def to_json(config: Config) -> str:
    """`config` as the text of config.json."""
    return json.dumps(dataclasses.asdict(config), indent=2) + "\n"


def load(path: Path) -> Config:
    """Reads config.json.

    Raises:
      UserError: no such file, or not a config of this version.
    """
    try:
        values = json.loads(path.read_text())
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: {path.parent} is not the workdir of a run") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"cannot read {path}: {error}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path} is not the config of a run")
    return from_dict(values)


def refuse_changes(saved: Config, asked: Config, workdir: Path) -> None:
    """Refuses to resume a run under settings that would make it another run.

    Raises:
      UserError: names every differing key with both values.
    """
    old, new = flatten(saved), flatten(asked)
    changed = [key for key in new if key not in FREE_ON_RESUME and old[key] != new[key]]
    if changed:
        listed = ", ".join(f"{key} ({old[key]!r} there, {new[key]!r} asked)" for key in changed)
        raise UserError(f"{workdir} holds a run with another config: {listed}; use another --workdir")


def _build(kind: type, values: dict, prefix: str):
    fields = {field.name: field for field in dataclasses.fields(kind)}
    types = typing.get_type_hints(kind)
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise UserError(f"unknown config key {prefix}{unknown[0]}; known here: {', '.join(fields)}")
    built = {}
    for name, value in values.items():
        wanted = types[name]
        if dataclasses.is_dataclass(wanted):
            if not isinstance(value, dict):
                raise UserError(f"config key {prefix}{name} is a group of settings, not {value!r}")
            built[name] = _build(wanted, value, f"{prefix}{name}.")
        else:
            built[name] = _typed(wanted, value, prefix + name)
    return kind(**built)


def _typed(wanted: type, value, key: str):
    if wanted is float and type(value) is int:
        return float(value)
    if typing.get_origin(wanted) is tuple:
        items = typing.get_args(wanted)
        if isinstance(value, list | tuple) and [type(item) for item in value] == list(items):
            return tuple(value)
        raise UserError(
            f"config key {key} takes {len(items)} values of type {items[0].__name__}, not {value!r}"
        )
    if type(value) is not wanted:
        raise UserError(f"config key {key} takes a value of type {wanted.__name__}, not {value!r}")
    return value


def _check(config: Config) -> None:
    flat = flatten(config)
    for key, choices in _CHOICES.items():
        if flat[key] not in choices:
            raise UserError(f"config key {key} is {flat[key]!r}; it can be {', '.join(choices)}")
    for key, (lowest, highest) in _RANGES.items():
        if not (math.isfinite(flat[key]) and lowest <= flat[key] <= highest):
            raise UserError(f"config key {key} is {flat[key]}; it must lie between {lowest} and {highest}")
    if not all(0 <= value <= 255 for value in config.data.background):
        raise UserError(
            f"config key data.background is {config.data.background}; its values lie between 0 and 255"
        )
    if config.data.end and config.data.end <= config.data.start:
        raise UserError(
            f"config key data.end is {config.data.end}, before data.start, which is {config.data.start}"
        )
    if config.loss.diversity not in ("none", "zcr") and config.batch_size < 2:
        raise UserError(
            f"loss.diversity {config.loss.diversity} compares pairs of samples and needs batch_size 2 or more; "
            "set loss.diversity none for batch_size 1"
        )
    if config.fleet.enabled and config.profile:
        raise UserError("profile records a run of one model: set profile 0, or train one picture of the fleet alone")
    if config.fleet.strategy == "sequential" and config.fleet.lanes > 1:
        raise UserError(
            f"fleet.strategy sequential trains one model at a time on each device, not fleet.lanes {config.fleet.lanes}"
        )
