"""The settings that every model shares: name, type, range, default and meaning, each stated once.

A model family adds sections of its own by a subclass of `Config` (siv_jax/models/NAME/config.py). Config files edit the
`ConfigDict` that `default` makes and `--config.key value` overrides it; `from_dict` turns the result into frozen
dataclasses, which is all that the rest of the package sees.
"""

import dataclasses
import difflib
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ml_collections
import pydantic
from pydantic import StrictBool, StrictFloat, StrictInt, StrictStr

from siv_jax.errors import UserError
from siv_jax.models import registry

_NO_SETTING, _NO_GROUP = "unexpected_keyword_argument", ("dataclass_type", "dataclass_exact_type")  # as pydantic has it
_TIME = re.compile(r"(\d+(?:\.\d+)?)([smh])")

section = pydantic.dataclasses.dataclass(
    frozen=True, config=pydantic.ConfigDict(extra="forbid", allow_inf_nan=False, validate_default=True)
)


def setting(default: object, meaning: str, low: float | None = None, high: float | None = None, free: bool = False):
    """A field of a section.

    Args:
      low, high: smallest and largest value, both allowed.
      free: may change when a run is resumed, because it does not touch the arithmetic of a step.
    """
    return pydantic.Field(default, description=meaning, ge=low, le=high, json_schema_extra={"free": free})


@section
class DataConfig:
    path: StrictStr = setting(
        "", "a picture, a clip, a folder of frames, an .npy or TIFF array, or tfds:name/config", free=True
    )
    mask: StrictStr = setting(
        "",
        "the picture's mask, or a folder of masks with the names of the pictures or frames: palette or gray PNG, or "
        ".npy; of models that learn from masks",
        free=True,
    )
    mask_classes: StrictInt = setting(
        0, "classes in the masks, with the background, class 0; 0: from the largest id, or 2 of an object", 0, 255
    )
    mask_ignore: StrictInt = setting(256, "the value of unlabelled pixels in the masks; 256: there are none", 0, 256)
    max_size: StrictInt = setting(330, "the longer side is scaled down to this many pixels for training", 16, 1792)
    background: tuple[StrictInt, StrictInt, StrictInt] = setting(
        (255, 255, 255), "RGB that transparent pictures are laid over"
    )
    start: StrictFloat = setting(0.0, "seconds into the clip where reading starts", 0.0, 1e6)
    end: StrictFloat = setting(0.0, "seconds into the clip where reading ends; 0: at its end", 0.0, 1e6)
    frame_stride: StrictInt = setting(1, "keep every n-th frame (paper, Fig. 5)", 1, 10**6)
    max_frames: StrictInt = setting(100, "a longer clip is thinned to this many frames, spread evenly", 1, 10**5)
    tfds_split: StrictStr = setting("train", "split of a tfds: path")
    tfds_index: StrictInt = setting(0, "which example of the split", 0, 10**9)
    tfds_feature: StrictStr = setting("", "feature that holds the picture or the frames; empty: the only one there is")

    @pydantic.model_validator(mode="after")
    def _check(self):
        if not all(0 <= value <= 255 for value in self.background):
            raise ValueError(f"config key data.background is {self.background}; its values lie between 0 and 255")
        if self.end and self.end <= self.start:
            raise ValueError(f"config key data.end is {self.end}, before data.start, which is {self.start}")
        return self


@section
class FleetConfig:
    enabled: StrictBool = setting(False, "data.path is a folder of pictures, each of which gets a model of its own")


@section
class Config:
    num_steps: StrictInt = setting(100_000, "training steps", 1, 10**9, free=True)
    time_limit: StrictStr = setting(
        "", "training ends after so long (90s, 2m, 1.5h), or after num_steps if sooner; empty: no limit", free=True
    )
    batch_size: StrictInt = setting(5, "samples in a step, over all devices together", 1, 4096)
    seed: StrictInt = setting(0, "of everything random", 0, 2**32 - 1)
    log_every: StrictInt = setting(50, "steps between entries of the log", 1, 10**9, free=True)
    sample_every: StrictInt = setting(1000, "steps between sample grids", 1, 10**9, free=True)
    checkpoint_every: StrictInt = setting(1000, "steps between checkpoints", 1, 10**9, free=True)
    keep_checkpoints: StrictInt = setting(3, "checkpoints that are kept", 1, 10**6, free=True)
    num_samples: StrictInt = setting(20, "pictures in the sample grids and in the final samples", 1, 1000)
    candidates: StrictInt = setting(
        1,
        "each sample is chosen among so many draws: near the photo's colours, far from the samples before; 1: as drawn",
        1,
        64,
        free=True,
    )
    rendered_size: StrictInt = setting(
        1024, "longer side of the rendered final samples at most; 0: samples are not rendered", 0, 16384, free=True
    )
    profile: StrictInt = setting(
        0, "steps recorded as a trace for TensorBoard and Perfetto, in WORKDIR/profile; 0: none", 0, 1000, free=True
    )
    data: DataConfig = DataConfig()
    fleet: FleetConfig = FleetConfig()

    @pydantic.model_validator(mode="after")
    def _check(self):
        if self.fleet.enabled and self.profile:
            raise ValueError("profile records a run of one model: set profile 0, or train one picture of the fleet")
        if self.time_limit and not _TIME.fullmatch(self.time_limit):
            raise ValueError(f"config key time_limit is {self.time_limit!r}; it must be a time such as 90s, 2m or 1.5h")
        if not self.seconds:
            raise ValueError(f"config key time_limit is {self.time_limit!r}, no time at all; empty is no limit")
        return self

    @property
    def seconds(self) -> float:
        """time_limit in seconds; infinite without one."""
        found = _TIME.fullmatch(self.time_limit)
        return float(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]] if found else math.inf


def default(name: str | None = None) -> ml_collections.ConfigDict:
    """The defaults of the model family `name` as a ConfigDict, which config files edit; of the usual one for None."""
    return ml_collections.ConfigDict(dataclasses.asdict(registry.config_class(name or registry.DEFAULT)()))


def from_config_dict(config: ml_collections.ConfigDict) -> Config:
    """Typed form of `config`, checked.

    Raises:
      UserError: an unknown key, a value of another type, out of its range, or at odds with another.
    """
    return from_dict(config.to_dict())


def from_dict(values: dict) -> Config:
    """As `from_config_dict`, from plain nested dictionaries such as `config.json` holds."""
    kind = registry.config_class(model_name(values))
    try:
        return pydantic.TypeAdapter(kind).validate_python(values)
    except pydantic.ValidationError as error:
        raise UserError(explained(error, kind)) from None


def require_known(values: dict) -> None:
    """Checks the keys of settings whose values may yet be replaced.

    Raises UserError: a key that is no setting, a value in place of a group, or a model that there is not.
    """
    kind = registry.config_class(model_name(values))
    try:
        pydantic.TypeAdapter(kind).validate_python(values)
    except pydantic.ValidationError as error:
        for problem in error.errors():
            if problem["type"] in (_NO_SETTING, *_NO_GROUP):
                raise UserError(_explained(problem, kind)) from None


def model_name(values: dict) -> str:
    """The model family that settings in nested dictionaries name, or the usual one."""
    model = values.get("model")
    return model.get("name", registry.DEFAULT) if isinstance(model, dict) else registry.DEFAULT


def with_overrides(config: Config, overrides: dict[str, object]) -> Config:
    """`config` with other values under dotted names, checked.

    Raises:
      UserError: an unknown name, or a value that it cannot have.
    """
    values, known = dataclasses.asdict(config), flatten(config)
    for key, value in overrides.items():
        if key not in known:
            raise UserError(f"unknown config key {_shown(key)}{_suggestion(key, known)}")
        *groups, last = key.split(".")
        group = values
        for name in groups:
            group = group[name]
        group[last] = str(value) if isinstance(value, Path) else value
    return from_dict(values)


def flatten(config: Config) -> dict[str, object]:
    """All settings under their dotted names: {"num_steps": 100000, "data.path": ..., ...}."""
    return {key: value for key, value, _ in _walk(config, "")}


def to_json(config: Config) -> str:
    """`config` as the text of config.json."""
    return json.dumps(dataclasses.asdict(config), indent=2) + "\n"


def load(path: Path) -> Config:
    """Reads config.json.

    Raises:
      UserError: no such file, or not a config of this version.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: {path.parent} is not the workdir of a run") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"cannot read {path}: {error}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path} is not the config of a run")
    try:
        return from_dict(values)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def refuse_changes(saved: Config, asked: Config, workdir: Path) -> None:
    """Refuses to resume a run under settings that would make it another run.

    Raises:
      UserError: names every differing key with both values.
    """
    old = flatten(saved)
    changed = [
        f"{key} ({old.get(key)!r} there, {value!r} asked)"
        for key, value, field in _walk(asked, "")
        if old.get(key) != value and not field.json_schema_extra["free"]
    ]
    if changed:
        raise UserError(f"{workdir} holds a run with another config: {', '.join(changed)}; use another --workdir")


def _walk(values: Any, prefix: str) -> Iterator[tuple[str, object, Any]]:
    """(dotted key, value, field) of every setting."""
    for name, field in type(values).__pydantic_fields__.items():
        value = getattr(values, name)
        if dataclasses.is_dataclass(value):
            yield from _walk(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value, field


def explained(error: pydantic.ValidationError, kind: type) -> str:
    """One line about the first complaint that settings of a `kind` of Config met."""
    return _explained(error.errors()[0], kind)


def _explained(problem: dict, kind: type) -> str:
    key, given = _shown(".".join(map(str, problem["loc"]))), _shown(repr(problem["input"]))
    if problem["type"] == _NO_SETTING:
        return f"unknown config key {key}{_suggestion(key, flatten(kind()))}"
    if problem["type"] == "value_error":
        return str(problem["ctx"]["error"])
    if problem["type"] in _NO_GROUP:
        return f"config key {key} is a group of settings, not {given}"
    if problem["type"] == "missing":
        return f"config key {key.rpartition('.')[0]} is {given}, which has too few values"
    wanted = re.sub(r"^\w+ should ", "", problem["msg"]).replace("'", "")
    return f"config key {key} is {given}; it must {wanted}"


def _shown(text: str) -> str:
    """The text as part of a line."""
    text = "".join(char if char.isprintable() else "?" for char in text)
    return text if len(text) <= 200 else f"{text[:197]}..."


def _suggestion(key: str, known: dict) -> str:
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.4)
    return f"; did you mean {near[0]}?" if near else f"; known are {', '.join(known)}"
