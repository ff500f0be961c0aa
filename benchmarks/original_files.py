"""Weights in the files that original implementations write, from the golden arrays of the tests."""

from pathlib import Path

import numpy as np
import test_golden_fastgan
import test_golden_ingan
import test_golden_osmis
import test_golden_siv_gan
import test_import_pyramids as pyramids
import test_torch_archive as torch
from golden import names
from imports import nhwc, picture_file
from singan_arrays import load

# Name of a file without its ending -> what goes with it: family, picture, settings.
Others = dict[str, tuple[str, Path | None, dict | None]]


def write_all(folder: Path) -> Others:
    """Writes an .npz of each family, and a .pth, into `folder`, and pictures beside it."""
    others: Others = {}
    flat = {"fastgan": test_golden_fastgan, "ingan": test_golden_ingan}
    flat |= {"osmis": test_golden_osmis, "siv_gan": test_golden_siv_gan}
    for family, module in flat.items():
        golden = module.load(names(module.belongs)[0])
        image = picture_file(_made(folder.parent / family), golden.picture) if family == "ingan" else None
        np.savez(folder / f"{family}.npz", **golden.under("G_state/"))
        others[family] = family, image, None
        if family == "siv_gan":
            _write_pth(folder / "siv_gan_pth.pth", golden.under("G_state/"))
            others["siv_gan_pth"] = family, None, None
    name, key = pyramids.TRAININGS[0]
    training = pyramids.consingan_arrays.trainings(name)[key]
    np.savez(folder / "consingan.npz", **pyramids.consingan_file(name, key))
    image = pyramids.consingan_photo(name, key, _made(folder.parent / "consingan"))
    others["consingan"] = "consingan", image, pyramids.consingan_settings(training)
    name = pyramids.SINGAN[0]
    np.savez(folder / "singan.npz", **pyramids.singan_file(name))
    image = picture_file(_made(folder.parent / "singan"), nhwc(load(name)["picture/input"]))
    others["singan"] = "singan", image, pyramids.singan_settings(name)
    return others


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _write_pth(path: Path, tensors: dict[str, np.ndarray]) -> None:
    """A state_dict of float32 tensors as torch.save lays it out."""
    arrays = [np.ascontiguousarray(tensor, np.float32) for tensor in tensors.values()]
    entries = [
        (name, torch.tensor("FloatStorage", str(i), array.size, 0, array.shape, _strides(array)))
        for i, (name, array) in enumerate(zip(tensors, arrays, strict=True))
    ]
    torch.save(path, torch.ordered_dict(*entries), arrays)


def _strides(array: np.ndarray) -> tuple[int, ...]:
    return tuple(stride // array.itemsize for stride in array.strides)
