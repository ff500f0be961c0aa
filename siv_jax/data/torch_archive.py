"""Tensors from the files that torch writes, without torch and without running pickled code."""

import functools
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np

from siv_jax.data.torch_pickle import Refused, Storage, Tensor, Unpickler, named
from siv_jax.errors import UserError

Values = Callable[[Storage], np.ndarray]

# A number at the start of files from before torch 1.6, as it is pickled.
_LEGACY_START = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19"
_LEGACY_PROTOCOL = 1001


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a state_dict that `torch.save` wrote, or of a module, by dotted name.

    The state_dicts and modules may lie in dictionaries, lists and tuples: what stands at place 3 of the list under the
    key "g" has names that begin with "g.3."; a tensor alone has the name "". Numbers there are arrays float64 [];
    texts and the like are left out. Modules, pickled as a whole or of TorchScript, give the names of their state_dict;
    their classes are not looked up.
    The arrays are read-only and keep the file's dtype (bfloat16 as `ml_dtypes.bfloat16`).

    Raises UserError: not such a file, damaged, without tensors and numbers, or one that calls a function.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(len(_LEGACY_START))
            if start == _LEGACY_START:
                file.seek(0)
                return _found(*_from_legacy(file))
            if not zipfile.is_zipfile(file):
                raise UserError(f"cannot read {path}: {_why_no_archive(start)}")
            with zipfile.ZipFile(file) as archive:
                return _found(*_from_archive(archive))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    except zipfile.BadZipFile as error:
        raise UserError(f"cannot read {path}: the archive is damaged ({error})") from None
    except Refused as error:
        raise UserError(f"cannot read {path}: {error}") from None


def _found(root: object, values: Values) -> dict[str, np.ndarray]:
    """Tensors and numbers of what a pickle holds."""
    found = dict(named(root))
    if not found:
        raise Refused(f"it holds a {type(root).__name__} without tensors, not a state_dict")
    return {
        name: value.of(values(value.storage)) if isinstance(value, Tensor) else np.asarray(value)
        for name, value in found.items()
    }


def _from_archive(archive: zipfile.ZipFile) -> tuple[object, Values]:
    """What a zip archive's data.pkl holds, and a function that reads the storages."""
    tops = [name[: -len("data.pkl")] for name in archive.namelist() if name.endswith("/data.pkl")]
    if len(tops) != 1:
        raise Refused("it is a zip file, but not one that torch.save wrote (no data.pkl)")
    order = tops[0] + "byteorder"
    swap = order in archive.namelist() and archive.read(order) == b"big"

    @functools.cache  # tensors may share one
    def values(storage: Storage) -> np.ndarray:
        key, dtype, count = storage
        try:
            info = archive.getinfo(f"{tops[0]}data/{key}")
        except KeyError:
            raise Refused(f"it is damaged: its storage {key} is missing") from None
        # Uncompressed as torch writes them, so that a small file cannot ask for much memory.
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != count * dtype.itemsize:
            raise Refused(f"its storage {key} does not hold {count} values of type {dtype}")
        found = np.frombuffer(archive.read(info), dtype)
        return found.byteswap() if swap else found

    return Unpickler(archive.open(tops[0] + "data.pkl")).read(), values


def _from_legacy(file: IO[bytes]) -> tuple[object, Values]:
    """The same of a file from before torch 1.6: five pickles, and the storages in the order that the last one gives."""
    _, protocol, machine = (Unpickler(file).read() for _ in range(3))
    if protocol != _LEGACY_PROTOCOL or not isinstance(machine, dict) or machine.get("little_endian") is False:
        raise Refused("it is in an older format of torch; load it in torch and save it again with torch.save")
    unpickler = Unpickler(file)
    root, keys = unpickler.read(), Unpickler(file).read()
    if not isinstance(keys, list) or set(map(str, keys)) != set(unpickler.storages):
        raise Refused("it is damaged: the list of its storages is not that of its tensors")
    found, end = {}, os.fstat(file.fileno()).st_size
    for storage in (unpickler.storages[str(key)] for key in keys):
        length = storage.count * storage.dtype.itemsize
        if file.tell() + 8 + length > end or file.read(8) != struct.pack("<q", storage.count):
            raise Refused(f"it is cut short or damaged at its storage {storage.key}")
        found[storage] = np.frombuffer(file.read(length), storage.dtype)
    return root, found.__getitem__


def _why_no_archive(start: bytes) -> str:
    if start.startswith(b"PK"):
        return "the archive is cut short; copy or download it again"
    return "it is not an archive that torch.save wrote"
