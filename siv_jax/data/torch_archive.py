"""Tensors from the zip archives that torch >= 1.6 writes, without torch and without running pickled code."""

import collections
import math
import pickle
import zipfile
from pathlib import Path
from typing import NamedTuple

import ml_dtypes
import numpy as np

from siv_jax.errors import UserError

_STORAGES = {
    "DoubleStorage": np.float64,
    "FloatStorage": np.float32,
    "HalfStorage": np.float16,
    "BFloat16Storage": ml_dtypes.bfloat16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}
_LEGACY_START = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19"


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a state_dict that `torch.save` wrote, or of a TorchScript module, by dotted name.

    The arrays are read-only and keep the file's dtype (bfloat16 as `ml_dtypes.bfloat16`).

    Raises UserError: not such an archive, damaged, or holding anything but tensors and plain containers.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(len(_LEGACY_START))
            if not zipfile.is_zipfile(file):
                raise UserError(f"cannot read {path}: {_why_no_archive(start)}")
            with zipfile.ZipFile(file) as archive:
                found = _Reader(archive).read()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    except zipfile.BadZipFile as error:
        raise UserError(f"cannot read {path}: the archive is damaged ({error})") from None
    except _Refused as error:
        raise UserError(f"cannot read {path}: {error}") from None
    return found


class _Refused(Exception):
    """What in the archive is not admitted."""


class _Element(NamedTuple):
    """Stand-in of a storage class: the type of its elements."""

    dtype: type


class _Tensor(NamedTuple):
    """Stand-in of a tensor. A tuple, so that nothing in the file can change it once it is checked."""

    array: np.ndarray


class _Module:
    """Stand-in of every TorchScript class: its attributes and no behaviour."""


class _Reader(pickle.Unpickler):
    """Unpickler of an archive's data.pkl that admits the stand-ins of this file and nothing else."""

    def __init__(self, archive: zipfile.ZipFile):
        self._archive = archive
        tops = [name[: -len("data.pkl")] for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(tops) != 1:
            raise _Refused("it is a zip file, but not one that torch.save wrote (no data.pkl)")
        self._top = tops[0]
        order = self._top + "byteorder"
        self._swap = order in archive.namelist() and archive.read(order) == b"big"
        super().__init__(archive.open(self._top + "data.pkl"))

    def read(self) -> dict[str, np.ndarray]:
        try:
            root = self.load()
        except (_Refused, zipfile.BadZipFile):
            raise
        except Exception as error:  # a damaged pickle stream raises nearly anything
            raise _Refused(f"its data.pkl is damaged ({type(error).__name__}: {error})") from None
        if isinstance(root, _Module):
            return dict(_tensors_of_module(root, ""))
        if not isinstance(root, dict):
            raise _Refused(f"it holds a {type(root).__name__}, not a state_dict")
        for name, value in root.items():
            if not isinstance(name, str) or not isinstance(value, _Tensor):
                raise _Refused(f"its entry {name!r} is not a tensor: save the state_dict alone")
        return {name: value.array for name, value in root.items()}

    def find_class(self, module: str, name: str):
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if module == "torch" and name in _STORAGES:
            return _Element(_STORAGES[name])
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return self._tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda tensor, requires_grad, hooks: tensor
        if (module, name) == ("torch.jit._pickle", "build_intlist"):
            return list
        if module.startswith("__torch__"):
            return type("Module", (_Module,), {})  # fresh for each file: nothing the file does to it lasts
        raise _Refused(f"it wants to create a {module}.{name}, and only tensors are admitted")

    def persistent_load(self, pid) -> np.ndarray:
        kind, element, key, _, count = pid
        if kind != "storage" or not isinstance(element, _Element):
            raise _Refused(f"its data.pkl refers to an unknown {kind}")
        info = self._archive.getinfo(f"{self._top}data/{key}")
        dtype = np.dtype(element.dtype)
        # Uncompressed as torch writes them, so that a small file cannot ask for much memory.
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != count * dtype.itemsize:
            raise _Refused(f"its storage {key} does not hold {count} values of type {dtype}")
        values = np.frombuffer(self._archive.read(info), dtype)
        return values.byteswap() if self._swap else values

    def _tensor(self, storage, offset, size, stride, requires_grad, hooks, metadata=None) -> _Tensor:
        last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
        if min((*size, *stride, 0)) < 0:
            raise _Refused("it holds a tensor of negative size")
        if math.prod(size) == 0:
            return _Tensor(np.zeros(size, storage.dtype))
        if not (offset >= 0 and last < storage.size and math.prod(size) <= storage.size):
            raise _Refused("it holds a tensor larger than its storage")
        strides = [step * storage.itemsize for step in stride]
        return _Tensor(np.lib.stride_tricks.as_strided(storage[offset:], size, strides, writeable=False))


def _tensors_of_module(module: _Module, prefix: str):
    for name, value in vars(module).items():
        if isinstance(value, _Tensor):
            yield prefix + name, value.array
        elif isinstance(value, _Module):
            yield from _tensors_of_module(value, f"{prefix}{name}.")


def _why_no_archive(start: bytes) -> str:
    if start == _LEGACY_START:
        return "it is in torch's format from before 1.6; load it in torch and save it again with torch.save"
    if start.startswith(b"PK"):
        return "the archive is cut short; copy or download it again"
    return "it is not an archive that torch.save wrote"
