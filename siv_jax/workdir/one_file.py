"""A trained model as one file to give away: what sampling needs of its weights, with its config and its plan.

A safetensors file, which holds arrays and text and nothing that runs. The photo is in it only as far as sampling needs
it: a model whose samples start from the photo keeps it, at the size of training, among its weights.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from siv_jax import config as config_lib
from siv_jax.errors import UserError
from siv_jax.workdir import checkpoint, layout

SUFFIX = ".safetensors"
_KEYS = ("config", "plan", "tree")
# What safetensors raises for files that are damaged or of other kinds.
_DAMAGED = (safetensors.SafetensorError, OSError, TypeError, ValueError, LookupError, AttributeError)


def write(workdir: Path, path: Path) -> int:
    """Writes the newest weights of the run in `workdir` as `path`, complete or not at all; returns their steps.

    A model that is there is replaced.

    Raises UserError: no such ending, another file of that name, or no run with a finished checkpoint.
    """
    if path.suffix.lower() != SUFFIX:
        raise UserError(f"{path}: the file of a model ends in {SUFFIX}")
    if path.exists() and not _is_model(path):
        raise UserError(f"{path} is there and no model of siv_jax.export: choose another name")
    record, config = layout.load_record(workdir), layout.load_config(workdir)
    weights, steps = checkpoint.restore_weights(workdir / layout.CHECKPOINTS)
    # Where files lay on this machine is nobody's business.
    data = {name: "" for name in ("path", "mask") if getattr(config.data, name)}
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, **data))
    arrays: dict[str, np.ndarray] = {}
    texts = {
        "config": config_lib.to_json(config),
        "plan": json.dumps({"version": layout.VERSION, **dataclasses.asdict(record)}),
        "tree": json.dumps(_named(weights, "", arrays)),
    }
    content = safetensors.numpy.save(arrays, texts)
    path.parent.mkdir(parents=True, exist_ok=True)
    layout.write_atomically(path, lambda file: file.write(content))
    return steps


def read(path: Path, folder: Path) -> Any:
    """Writes config.json and plan.json of a file of `write` into `folder`; returns the weights.

    These are numpy arrays in dictionaries and lists, as `checkpoint.restore_weights` gives them.

    Raises UserError: it does not exist, is damaged, or is no file of a model.
    """
    try:
        texts, arrays = _texts(path), safetensors.numpy.load_file(path)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except _DAMAGED as error:
        raise UserError(f"{path} is damaged or no safetensors file: {' '.join(str(error).split())[:200]}") from None
    if missing := _missing(texts):
        raise UserError(f"{path} is no model of siv_jax.export: it has no {missing[0]}")
    if f'"version": {layout.VERSION},' not in texts["plan"]:
        raise UserError(f"{path} is of another version of siv_jax, or damaged")
    try:
        weights = _filled(json.loads(texts["tree"]), arrays)
    except (ValueError, KeyError, RecursionError) as error:
        raise UserError(f"{path} is damaged: its tree of arrays cannot be read ({error})") from None
    layout.write_text(folder / layout.CONFIG, texts["config"])
    layout.write_text(folder / layout.PLAN, texts["plan"])
    return weights


def _texts(path: Path) -> dict[str, str]:
    with safetensors.safe_open(path, framework="numpy") as file:
        return file.metadata() or {}


def _is_model(path: Path) -> bool:
    try:
        return not _missing(_texts(path))
    except _DAMAGED:
        return False


def _missing(texts: dict[str, str]) -> list[str]:
    return [key for key in _KEYS if key not in texts]


def _named(tree: Any, name: str, arrays: dict[str, np.ndarray]) -> Any:
    """The tree with the name of an array in place of each, which goes into `arrays`."""
    if isinstance(tree, dict):
        return {key: _named(value, f"{name}/{key}", arrays) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_named(value, f"{name}/{i}", arrays) for i, value in enumerate(tree)]
    if tree is None:
        return None
    arrays[name[1:]] = np.ascontiguousarray(tree).reshape(np.shape(tree))
    return name[1:]


def _filled(tree: Any, arrays: dict[str, np.ndarray]) -> Any:
    """The reverse of `_named`."""
    if isinstance(tree, dict):
        return {key: _filled(value, arrays) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_filled(value, arrays) for value in tree]
    return None if tree is None else arrays[tree]
