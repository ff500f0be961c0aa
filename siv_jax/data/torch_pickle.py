"""What pickles of torch hold, without torch: stand-ins take the place of every class, and no function is called."""

import collections
import math
import pickle
from collections.abc import Iterable, Iterator
from typing import IO, NamedTuple

import ml_dtypes
import numpy as np

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


class Refused(Exception):
    """What in the file is not admitted."""


class Storage(NamedTuple):
    """Stand-in of a storage: `count` values, which lie elsewhere in the file under `key`."""

    key: str
    dtype: np.dtype
    count: int


class Tensor(NamedTuple):
    """Stand-in of a tensor. A tuple, so that nothing in the file can change it once it is checked."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def of(self, values: np.ndarray) -> np.ndarray:
        """The read-only array, of all values of the storage."""
        if math.prod(self.size) == 0:
            return np.zeros(self.size, values.dtype)
        strides = [step * values.itemsize for step in self.stride]
        return np.lib.stride_tricks.as_strided(values[self.offset :], self.size, strides, writeable=False)


class _Element(NamedTuple):
    """Stand-in of a storage class: the type of its elements."""

    dtype: type


class _NeverCalled(type):
    """Of a stand-in class that the file may make objects of, without its arguments, but not call as a function."""

    def __call__(cls, *args, **kwargs):
        raise Refused(f"it wants to create a {cls.__name__}, and only tensors are admitted")


class _Module(metaclass=_NeverCalled):
    """Stand-in of every class that is not admitted itself: its attributes and no behaviour."""

    def __new__(cls, *args):
        return super().__new__(cls)


class Unpickler(pickle.Unpickler):
    """Admits the stand-ins of this file and nothing else.

    storages: those that the pickle refers to, by key.
    """

    def __init__(self, file: IO[bytes]):
        super().__init__(file)
        self.storages: dict[str, Storage] = {}

    def read(self) -> object:
        """The next object of the file. Raises Refused: it is damaged, or not admitted."""
        try:
            return self.load()
        except Refused:
            raise
        except Exception as error:  # a damaged pickle stream raises nearly anything
            raise Refused(f"its pickle (data.pkl) is damaged ({type(error).__name__}: {error})") from None

    def find_class(self, module: str, name: str):
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if module == "torch" and name in _STORAGES:
            return _Element(_STORAGES[name])
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return self._tensor  # a method, of which the file cannot change the attributes
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda tensor, requires_grad, hooks: tensor
        if (module, name) == ("torch.jit._pickle", "build_intlist"):
            return list
        if (module, name) in (("builtins", "set"), ("__builtin__", "set")):  # of names, in pickled modules
            return tuple
        # Fresh for each file: nothing the file does to it lasts.
        return _NeverCalled(f"{module}.{name}", (_Module,), {})

    def persistent_load(self, pid) -> object:
        if pid[0] == "module":  # a class with the text that defines it
            return pid[1]
        kind, element, key, _, count, *view = pid
        if kind != "storage" or not isinstance(element, _Element):
            raise Refused(f"its data.pkl refers to an unknown {kind}")
        if any(part is not None for part in view) or not isinstance(count, int) or count < 0:
            raise Refused(f"its storage {key} is a part of another one, or of no size")
        storage = Storage(str(key), np.dtype(element.dtype), count)
        if self.storages.setdefault(storage.key, storage) != storage:
            raise Refused(f"its storage {key} has two sizes")
        return storage

    def _tensor(self, storage, offset, size, stride, requires_grad, hooks, metadata=None) -> Tensor:
        if not isinstance(storage, Storage) or not all(isinstance(n, int) for n in (offset, *size, *stride)):
            raise Refused("it holds a tensor without storage or of no size")
        last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
        if min((*size, *stride, 0)) < 0:
            raise Refused("it holds a tensor of negative size")
        there = offset >= 0 and last < storage.count and math.prod(size) <= storage.count
        if math.prod(size) and not there:
            raise Refused("it holds a tensor larger than its storage")
        return Tensor(storage, offset, tuple(size), tuple(stride))


def named(root: object) -> Iterator[tuple[str, Tensor | np.float64]]:
    """Tensors and numbers in nested containers, by dotted name.

    Raises Refused: containers without end, or a number too large.
    """
    waiting, seen = [((), root)], 0
    while waiting:
        path, value = waiting.pop()
        seen += 1
        # A file can put a container into itself, or each of a few twice into the next.
        if len(path) > _DEEPEST or seen > _MOST:
            raise Refused("its dictionaries and lists hold too much, or one another without end")
        if isinstance(value, Tensor):
            yield ".".join(path), value
        elif isinstance(value, int | float) and not isinstance(value, bool):
            try:
                yield ".".join(path), np.float64(value)
            except OverflowError as error:
                raise Refused(f"it holds a number that is too large ({error})") from None
        else:
            inner = [((*path, str(key)), one) for key, one in _contents(value)]
            waiting.extend(reversed(inner))


def _contents(value: object) -> Iterable[tuple[object, object]]:
    if isinstance(value, _Module):
        attributes = vars(value)
        if "_modules" in attributes:  # pickled as a whole
            groups = [attributes.get(group) for group in ("_parameters", "_buffers", "_modules")]
            return [item for group in groups if isinstance(group, dict) for item in group.items()]
        return [(name, one) for name, one in attributes.items() if isinstance(one, Tensor | _Module)]
    if isinstance(value, dict):
        return [(key, one) for key, one in value.items() if isinstance(key, str | int)]
    return enumerate(value) if isinstance(value, list | tuple) and not isinstance(value, Storage | _Element) else ()
