"""The protocol of a table: which models, and under each named budget how they are trained and measured.

A protocol is a YAML file; those of the paper's tables lie in configs/tables/. See `Protocol` for what it holds.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import yaml

from siv_jax import config as config_lib
from siv_jax.cli import config_file
from siv_jax.config import Config
from siv_jax.errors import UserError, complaint
from siv_jax.metrics import record
from siv_jax.metrics.network_weights import LPIPS_FORMS, SOURCES

LONGEST_NAME = 200
# Of a row: shown in a line.
_Title = Annotated[str, pydantic.Field(min_length=1, max_length=LONGEST_NAME, pattern=r"^[^\x00-\x1f\x7f]+$")]
# Of a budget: a part of the names of files and folders, on every system.
_BudgetName = Annotated[str, pydantic.Field(max_length=60, pattern=r"^\w[\w .+-]*$")]
_Strict = pydantic.ConfigDict(extra="forbid", frozen=True, strict=True)


class Budget(pydantic.BaseModel):
    """What all rows share. Its hash is the protocol's id.

    samples: drawn of each model, with latents of `seed`, and measured.
    size: longer side in pixels of samples and training images when they are measured; pictures are never enlarged.
    lpips: form of LPIPS.
    settings: of every model that is trained, under dotted names of the config.
    clip_settings: further ones where the inputs are clips.
    strides: every n-th frame of a clip is used, a table row for each n. frames: how many frames at most are then used;
      the same number for every n.
    """

    model_config = _Strict
    samples: int = pydantic.Field(ge=2, le=10_000)
    size: int = pydantic.Field(ge=32, le=4096)
    seed: int = pydantic.Field(0, ge=0, le=2**32 - 1)
    lpips: Literal["alex", "vgg", "alex01"] = "alex"
    settings: dict[str, Any] = {}
    clip_settings: dict[str, Any] = {}
    strides: list[Annotated[int, pydantic.Field(ge=1)]] = []
    frames: int = pydantic.Field(100, ge=2)

    def identity(self, name: str) -> str:
        """NAME-HASH over everything here, the recipe of the metrics and their networks' weights."""
        weights = {name: SOURCES[name].digest for name in (LPIPS_FORMS[self.lpips], "inception")}
        return f"{name}-{digest({**self.model_dump(), 'metrics': record.VERSION, 'weights': weights})}"


class Row(pydantic.BaseModel):
    """One model of the table.

    samples: raw (as the network draws them), rendered (from the picture's own patches), noise (patches of the picture
      from noise, without a model) or folder (samples that somebody else made).
    config: the config that trains it, as --config takes it.
    budgets: budget -> settings under dotted names that are laid over the budget's; `config` names another config.
    folder: of `samples: folder`, on the command line only.
    stride: keep every n-th frame, see Budget.strides.
    """

    model_config = _Strict
    title: _Title
    samples: Literal["raw", "rendered", "noise", "folder"] = "raw"
    config: str | None = None
    budgets: dict[_BudgetName, dict[str, Any]] = {}
    folder: Path | None = None
    stride: int = 0

    @pydantic.model_validator(mode="after")
    def _check(self):
        if (self.config is None) != (self.samples in ("noise", "folder")):
            wanted = "no config" if self.config else "a config"
            raise ValueError(f"row {self.title!r}: samples {self.samples} need {wanted}")
        for budget, own in self.budgets.items():
            if not isinstance(own.get("config", ""), str):
                raise ValueError(f"row {self.title!r}: the config of budget {budget} is {own['config']!r}, not a name")
        return self


class Protocol(pydantic.BaseModel):
    """All of a table.

    inputs: what the models learn from: picture, clip, or either.
    table: number of the paper's table whose rows stand beside.
    """

    model_config = _Strict
    title: str
    inputs: Literal["picture", "clip", "either"]
    table: int | None = None
    budgets: dict[_BudgetName, Budget] = pydantic.Field(min_length=1)
    rows: list[Row]

    @pydantic.model_validator(mode="after")
    def _check(self):
        titles = [row.title for row in self.rows]
        twice = next((title for title in titles if titles.count(title) > 1), None)
        if twice is not None:
            raise ValueError(f"two rows have the title {twice!r}")
        unknown = {name for row in self.rows for name in row.budgets} - set(self.budgets)
        if unknown:
            raise ValueError(f"rows name the budget {min(unknown)!r}; there are {', '.join(self.budgets)}")
        return self

    def budget(self, name: str) -> Budget:
        """Raises UserError: there is none of this name."""
        if name not in self.budgets:
            raise UserError(f"there is no budget {name}; this table has {', '.join(self.budgets)}")
        return self.budgets[name]


def folder() -> Path:
    """Where the protocols that come with the package lie."""
    return config_file.folder() / "tables"


def load(path: Path) -> Protocol:
    """Reads a protocol. A config that lies beside it as a file is meant before one that comes with the package.

    Raises UserError: no such file, or one that is no protocol: names the key and what is wrong with it.
    """
    try:
        found = Protocol.model_validate(config_file.read_yaml(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise UserError(f"the protocol {path} cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise UserError(f"{path} is no protocol of a table: {complaint(error)}") from None
    return found.model_copy(update={"rows": [_beside(row, path.parent) for row in found.rows]})


def _beside(row: Row, place: Path) -> Row:
    """`row` with the full paths of its configs that are files in `place`."""

    def full(name: str | None) -> str | None:
        return str((place / name).absolute()) if name and os.path.isfile(place / name) else name

    def with_full(own: dict) -> dict:
        return own | {key: full(value) for key, value in own.items() if key == "config"}

    budgets = {budget: with_full(own) for budget, own in row.budgets.items()}
    return row.model_copy(update={"config": full(row.config), "budgets": budgets})


def resolved(row: Row, name: str, budget: Budget, clip: bool) -> Config | None:
    """The config that trains `row` under the budget of this name, without its input; None for a row without training.

    Raises UserError: a config that does not load, or a setting that it does not have.
    """
    if row.config is None:
        return None
    own = dict(row.budgets.get(name, {}))
    given = own.pop("config", row.config)
    shared = budget.settings | (budget.clip_settings if clip else {})
    try:
        config = config_lib.from_config_dict(config_file.load(given))
        config = config_lib.with_overrides(config, {**shared, **own, "data.path": ""})
    except UserError as error:
        raise UserError(f"row {row.title}, budget {name}: {error}") from None
    if config.time_limit or config.fleet.enabled:
        key = "time_limit" if config.time_limit else "fleet.enabled"
        raise UserError(
            f"row {row.title}, budget {name}: {key} is set; a model of a table is trained for its num_steps"
        )
    return config


def digest(content: object) -> str:
    """Eight hexadecimal digits of what can be written as JSON."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:8]
