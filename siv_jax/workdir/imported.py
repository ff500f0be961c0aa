"""A workdir made of weights from elsewhere: it can be sampled from, not trained on."""

import contextlib
import dataclasses
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import filelock
import jax
import numpy as np
import pydantic

from siv_jax import config as config_lib
from siv_jax.config import Config, DataConfig
from siv_jax.data import PixelFormat, Source, open_source, torch_archive
from siv_jax.data.files import numpy_file
from siv_jax.data.masks import MaskFormat
from siv_jax.data.pixel_format import PICTURE
from siv_jax.errors import UserError
from siv_jax.models import registry
from siv_jax.models.interface import Plan
from siv_jax.workdir import checkpoint, layout, one_file, start


def import_weights(
    weights: Mapping[str, Path],
    workdir: Path,
    model: str,
    image: Path | None = None,
    settings: dict[str, object] | None = None,
) -> Plan:
    """Makes `workdir` of files of the original implementation of the family `model`; returns the model's plan.

    Args:
      weights: what stands before the names of a file's tensors -> the file; "" for names as they are.
      image: what the model learnt from, which the workdir then keeps.
      settings: those of the original's training that are not the family's defaults, by dotted names.

    Raises UserError: the file holds no such weights, they do not fit the picture and the settings, the picture cannot
    be read, or `workdir` is not empty or cannot be written.
    """
    convert = getattr(registry.get(model), "import_weights", None)
    if convert is None:
        raise UserError(f"weights of the original implementation of {model} cannot be imported")
    default = config_lib.from_config_dict(config_lib.default(model))
    own = {"model.name": model, "data.path": str(image or "")}
    config = config_lib.with_overrides(default, (settings or {}) | own)
    tensors = {name: tensor for prefix, path in weights.items() for name, tensor in _read(path, prefix).items()}
    source = open_source(config.data) if image is not None else None
    try:
        config, plan, found = convert(tensors, config, source)
    except (UserError, pydantic.ValidationError) as error:
        reason = error if isinstance(error, UserError) else config_lib.explained(error, type(config))
        raise UserError(f"{', '.join(map(str, weights.values()))}: {reason}") from None
    if source is not None and source.channels != plan.channels:
        raise UserError(f"{image} has {source.channels} channels, and the weights make pictures of {plan.channels}")
    with _new_workdir(workdir) as partial:
        checkpoint.save_weights(partial / layout.CHECKPOINTS, found)
        _save(partial, config, plan, source, next(iter(weights.values())).name)
    return plan


def import_model(file: Path, workdir: Path, image: Path | None = None) -> Plan:
    """Makes `workdir` of a file of siv_jax.export; returns the model's plan.

    Args:
      image: the photo that the model learnt from, which the workdir then keeps and samples can be rendered from.

    Raises UserError: the file is none or damaged, the picture is not of the model's size or cannot be read, or
    `workdir` is not empty or cannot be written.
    """
    source = open_source(DataConfig(path=str(image))) if image is not None else None
    with _new_workdir(workdir) as partial:
        found = one_file.read(file, partial)
        try:
            config, record = layout.load_config(partial), layout.load_record(partial)
            _require_drawable(config, record.plan, found)
        except UserError as error:
            raise UserError(f"{file} is damaged: {str(error).replace(f'{partial}{os.sep}', '')}") from None
        if source is not None and (source.size, source.channels) != (record.source_size, record.plan.channels):
            (height, width), wanted = source.size, record.source_size
            raise UserError(
                f"{image} is {width}x{height} with {source.channels} channels; the model learnt from a picture of "
                f"{wanted[1]}x{wanted[0]} with {record.plan.channels}"
            )
        checkpoint.save_weights(partial / layout.CHECKPOINTS, found)
        (partial / layout.CONFIG).unlink()
        unknown = {"num_steps": 0, "num_frames": 0, "frames_found": 0, "kept_size": (0, 0), "digest": ""}
        kept = dataclasses.replace(record, **unknown)
        if source is not None:
            begun = start.begin(partial, config, record.plan, 0, source, source.digest())
            kept = dataclasses.replace(begun, masks=record.masks)
        layout.save(partial, config, kept)
    return record.plan


def _require_drawable(config: Config, plan: Plan, weights: Any) -> None:
    """Raises UserError: no sample can be drawn from the weights by a model of this config and plan."""
    sampler = registry.get(config.model.name).sampler(config, plan)
    try:
        jax.eval_shape(sampler.draw, weights, sampler.noise(0, 0, 1))
    except Exception as error:  # arrays that are missing or have other shapes fail in many ways
        raise UserError(f"its arrays do not fit its plan ({type(error).__name__})") from None


@contextlib.contextmanager
def _new_workdir(workdir: Path) -> Iterator[Path]:
    """A claimed folder that becomes `workdir` at the end, complete or not at all.

    What a kill or a full disk leaves half made does not stand in the way of another try.

    Raises UserError: `workdir` is not empty, cannot be made, or is just being made by another process.
    """
    workdir = workdir.resolve()
    if not workdir.name or (workdir.exists() and (not workdir.is_dir() or any(workdir.iterdir()))):
        raise UserError(f"{workdir} exists and is not empty: choose a new --workdir")
    partial = workdir.with_name(f".{workdir.name}.partial")
    try:
        partial.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(partial / layout.LOCK, blocking=False)
        lock.acquire()
    except filelock.Timeout:
        raise UserError(f"{workdir} is just being made by another import: wait for it") from None
    except OSError as error:
        raise UserError(f"cannot write to {workdir}: {error.strerror}; choose another --workdir") from None
    try:
        for left in partial.iterdir():
            if left.name != layout.LOCK:
                shutil.rmtree(left) if left.is_dir() else left.unlink()
        yield partial
        lock.release()
        if workdir.exists():  # empty; it is filled, settings last, since a shell may stand in it
            for entry in sorted(partial.iterdir(), key=lambda entry: entry.name == layout.CONFIG):
                entry.rename(workdir / entry.name)
            partial.rmdir()
        else:
            partial.rename(workdir)
    except BaseException:
        lock.release()
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _save(workdir: Path, config: Config, plan: Plan, source: Source | None, name: str) -> None:
    """Writes what a workdir knows beside its weights."""
    if source is not None:
        record = start.begin(workdir, config, plan, 0, source, source.digest())
    else:
        pixel_format = PICTURE if plan.channels == 3 else PixelFormat("npy", "float32", -1.0, 1.0)
        record = layout.Record(plan, pixel_format, name)
    if "mask" in registry.get(config.model.name).inputs and record.masks is None:
        masks = MaskFormat(is_object=plan.num_classes == 2, num_classes=plan.num_classes)
        record = dataclasses.replace(record, masks=masks)
    layout.save(workdir, config, record)


def _read(path: Path, prefix: str) -> dict[str, np.ndarray]:
    """The tensors of a file, with `prefix` and a dot before their names, or alone for a tensor without one."""
    found = _read_npz(path) if path.suffix.lower() == ".npz" else torch_archive.read_tensors(path)
    return {".".join(filter(None, (prefix, name))): tensor for name, tensor in found.items()}


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with numpy_file(path, path.name), open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except UserError:
        raise
    except Exception as error:  # a damaged archive raises zipfile's, zlib's and numpy's errors
        raise UserError(f"{path} is not an .npz archive of arrays: {error}") from None
