"""Importing weights of the original implementations from files that a test makes."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import siv_jax
from siv_jax import api
from siv_jax.errors import UserError
from siv_jax.workdir import layout


def nhwc(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array.transpose(0, 2, 3, 1))


def imported(folder, tensors: dict, family: str, **options) -> siv_jax.api.Model:
    """The model of a file of these tensors."""
    np.savez(folder / "weights.npz", **tensors)
    api.import_weights(folder / "weights.npz", folder / "run", family, **options)
    return siv_jax.load(folder / "run")


def refused(folder, tensors: dict, family: str, match: str, **options) -> None:
    np.savez(folder / "bad.npz", **tensors)
    with pytest.raises(UserError, match=match) as caught:
        api.import_weights(folder / "bad.npz", folder / "refused", family, **options)
    assert "\n" not in str(caught.value)
    assert not (folder / "refused").exists()


def changed(tensors: dict, name: str, tensor: np.ndarray | None) -> dict:
    """`tensors` with another one under `name`, or without it."""
    return {key: value for key, value in (tensors | {name: tensor}).items() if value is not None}


def picture_file(folder, picture: np.ndarray) -> Path:
    """A file of the picture [1, H, W, C] in [-1, 1]."""
    Image.fromarray(np.round((picture[0] + 1) * 127.5).astype(np.uint8)).save(folder / "photo.png")
    return folder / "photo.png"


def drawn(model, folder) -> np.ndarray:
    """What `siv_jax.sample` draws from the workdir, which it writes, too."""
    assert next(iter(api.write_samples(folder / "run", num=2))).startswith("2 samples of the imported weights in ")
    written = layout.load_record(folder / "run")
    images = model.sample(2)
    images = getattr(images, "images", images)
    assert images.shape == (2, *model.size, written.plan.channels) and (images[0] != images[1]).any()
    assert (folder / "run" / "samples_seed0" / "sample_00001.png").exists()
    return images
