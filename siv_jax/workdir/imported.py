"""A workdir made of weights from elsewhere: it can be sampled from, not trained on."""

from pathlib import Path

import numpy as np

from siv_jax.data import PixelFormat, torch_archive
from siv_jax.data.pixel_format import PICTURE
from siv_jax.errors import UserError
from siv_jax.models import registry
from siv_jax.models.interface import Plan
from siv_jax.workdir import checkpoint, layout


def import_weights(weights: Path, workdir: Path, model: str) -> Plan:
    """Makes `workdir` of a file of the original implementation of the family `model`; returns the model's plan.

    Raises UserError: the file holds no such weights, or `workdir` is not empty or cannot be written.
    """
    convert = getattr(registry.get(model), "import_weights", None)
    if convert is None:
        raise UserError(f"weights of the original implementation of {model} cannot be imported")
    tensors = _read_npz(weights) if weights.suffix.lower() == ".npz" else torch_archive.read_tensors(weights)
    try:
        config, plan, found = convert(tensors)
    except UserError as error:
        raise UserError(f"{weights}: {error}") from None
    if workdir.exists() and (not workdir.is_dir() or any(workdir.iterdir())):
        raise UserError(f"{workdir} exists and is not empty: choose a new --workdir")
    lock = layout.lock(workdir)
    pixel_format = PICTURE if plan.channels == 3 else PixelFormat("npy", "float32", -1.0, 1.0)
    checkpoint.save_weights(workdir / layout.CHECKPOINTS, found)
    layout.save(workdir, config, layout.Record(plan, pixel_format, weights.name))
    lock.release()
    return plan


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except Exception as error:  # a damaged archive raises zipfile's, zlib's and numpy's errors
        raise UserError(f"{path} is not an .npz archive of arrays: {error}") from None
