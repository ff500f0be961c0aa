"""Tensors from the zip archives that torch >= 1.6 writes, without torch and without running pickled code."""

import collections
import math
import pickle
import zipfile
from collections.abc import Iterable, Iterator
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
# Of containers in containers, and of all that is in them.
_DEEPEST, _MOST = 64, 200_000
_LEGACY_START = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19"


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a state_dict that `torch.save` wrote, or of a module, by dotted name.

    The state_dicts and modules may lie in dictionaries, lists and tuples: what stands at place 3 of the list under the
    key "g" has names that begin with "g.3.". Numbers there are arrays float64 []; texts and the like are left out.
    Modules, pickled as a whole or of TorchScript, give the names of their state_dict; their classes are not looked up.
    The arrays are read-only and keep the file's dtype (bfloat16 as `ml_dtypes.bfloat16`).

    Raises UserError: not such an archive, damaged, without tensors and numbers, or one that calls a function.
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


class _NeverCalled(type):
    """Of a stand-in class that the file may make objects of, without its arguments, but not call as a function."""

    def __call__(cls, *args, **kwargs):
        raise _Refused(f"it wants to create a {cls.__name__}, and only tensors are admitted")


class _Module(metaclass=_NeverCalled):
    """Stand-in of every class that is not admitted itself: its attributes and no behaviour."""

    def __new__(cls, *args):
        return super().__new__(cls)


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
        if not isinstance(root, dict | list | tuple | _Module):
            raise _Refused(f"it holds a {type(root).__name__}, not a state_dict")
        try:
            found = dict(_named(root))
        except OverflowError as error:
            raise _Refused(f"it holds a number that is too large ({error})") from None
        if not found:
            raise _Refused("it holds no tensors")
        return {name: np.asarray(value) for name, value in found.items()}

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
        if (module, name) in (("builtins", "set"), ("__builtin__", "set")):  # of names, in pickled modules
            return tuple
        # Fresh for each file: nothing the file does to it lasts.
        return _NeverCalled(f"{module}.{name}", (_Module,), {})

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


def _named(root: object) -> Iterator[tuple[str, np.ndarray | np.float64]]:
    """Tensors and numbers in nested containers, by dotted name."""
    waiting, seen = [((), root)], 0
    while waiting:
        path, value = waiting.pop()
        seen += 1
        # A file can put a container into itself, or each of a few twice into the next.
        if len(path) > _DEEPEST or seen > _MOST:
            raise _Refused("its dictionaries and lists hold one another without end")
        if isinstance(value, _Tensor):
            yield ".".join(path), value.array
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield ".".join(path), np.float64(value)
        else:
            inner = [((*path, str(key)), one) for key, one in _contents(value)]
            waiting.extend(reversed(inner))


def _contents(value: object) -> Iterable[tuple[object, object]]:
    if isinstance(value, _Module):
        attributes = vars(value)
        if "_modules" in attributes:  # pickled as a whole
            groups = [attributes.get(group) for group in ("_parameters", "_buffers", "_modules")]
            return [item for group in groups if isinstance(group, dict) for item in group.items()]
        return [(name, one) for name, one in attributes.items() if isinstance(one, _Tensor | _Module)]
    if isinstance(value, dict):
        return [(key, one) for key, one in value.items() if isinstance(key, str | int)]
    return enumerate(value) if isinstance(value, list | tuple) else ()


def _why_no_archive(start: bytes) -> str:
    if start == _LEGACY_START:
        return "it is in torch's format from before 1.6; load it in torch and save it again with torch.save"
    if start.startswith(b"PK"):
        return "the archive is cut short; copy or download it again"
    return "it is not an archive that torch.save wrote"
