"""Damage to files: to their bytes, or to what intact ones hold, which no checksum and no syntax catches."""

import io
import json
import zipfile
from collections.abc import Callable

import numpy as np
import yaml
from PIL import Image
from test_data_fuzz import damaged as bytes_damaged

_DTYPES = ("?", "u1", "i1", ">i2", "i8", "u8", "f2", "f4", "f8", "c8", "U3", "S2", "M8[s]", [("a", "f4"), ("b", "u1")])
_NUMBERS = (0, -1, 1, 255, 256, 10**6, 2**31, -(2**40), np.nan, np.inf, -np.inf, 1e30)
_STRANGE = (
    None, True, 0, 1, -1, 0.5, 1e308, float("nan"), float("inf"), 2**31, 2**70, "", "x", "..", "a\nb", "a\0b",
    "é" * 300, "nan", "1e400", "/dev/null", [], {}, [1, 2], [None], {"a": 1}, [[[[]]]], {"": {}},
)  # fmt: skip


def damaged(rng: np.random.Generator, contents: list[bytes], which: int, suffix: str) -> bytes:
    """Contents number `which`, of a file with this ending, damaged: half of the times what it holds, where possible."""
    inside = _INSIDE.get(suffix)
    if inside is None or rng.random() < 0.5:
        return bytes_damaged(rng, contents, which)
    try:
        content = inside(rng, contents[which])
        return inside(rng, content) if rng.random() < 0.2 else content
    except (OSError, ValueError, TypeError, RecursionError):  # what cannot be written in this format
        return bytes_damaged(rng, contents, which)


def _picture(rng: np.random.Generator, content: bytes) -> bytes:
    """Other pixels, another size or another mode, in an intact file."""
    with Image.open(io.BytesIO(content)) as image:
        form = image.format
        image.load()
    how = rng.integers(4)
    if how == 0:
        image = image.resize((int(rng.integers(1, 200)), int(rng.integers(1, 200))))
    elif how == 1:
        image = image.crop((0, 0, int(rng.integers(1, 99)), int(rng.integers(1, 99))))
    elif how == 2:
        modes = ("1", "L", "P", "LA", "RGB", "RGBA", "I;16", "I") if form == "PNG" else ("L", "RGB")
        image = image.convert("RGB").convert("L").convert(str(rng.choice(modes)))
    else:
        pixels = np.array(image)
        pixels[rng.random(pixels.shape[:2]) < rng.random()] = rng.integers(256)
        changed = Image.fromarray(pixels)
        if image.mode == "P":
            changed.putpalette(image.getpalette())
        image = changed
    written = io.BytesIO()
    image.save(written, format=form)
    return written.getvalue()


def _array(rng: np.random.Generator, content: bytes) -> bytes:
    return _saved(_changed(rng, np.load(io.BytesIO(content), allow_pickle=False)))


def _saved(array: np.ndarray) -> bytes:
    written = io.BytesIO()
    np.save(written, array)
    return written.getvalue()


def _changed(rng: np.random.Generator, array: np.ndarray) -> np.ndarray:
    """Another shape, another type, or other values."""
    how = rng.integers(7)
    if how == 0:
        return _cast(array, _DTYPES[rng.integers(len(_DTYPES))])
    if how == 1:
        return np.asfortranarray(array.T)
    if how == 2:
        return array[None] if rng.random() < 0.5 else array[..., None]
    if how == 3:
        return array[tuple(slice(int(rng.integers(side + 1))) for side in array.shape)]
    if how == 4:
        return array.reshape(-1)
    if how == 5:
        return array[0] if array.ndim and len(array) else array
    number = _NUMBERS[rng.integers(len(_NUMBERS))]
    kept = (
        array.astype("f8" if array.dtype.kind == "f" or number != number else "i8")
        if array.dtype.kind in "buif"
        else array
    )
    if kept.dtype.kind in "if" and (kept.dtype.kind == "f" or np.isfinite(number)) and kept.size:
        chosen = rng.random(kept.shape) < rng.choice([0.01, 1])
        return np.where(chosen, np.asarray(number).astype(kept.dtype), kept)
    return array


def _cast(array: np.ndarray, dtype: object) -> np.ndarray:
    with np.errstate(all="ignore"):
        try:
            return array.astype(dtype)
        except (ValueError, TypeError):
            return np.zeros(array.shape, dtype)


def _archive(rng: np.random.Generator, content: bytes) -> bytes:
    """One member of a zip changed, renamed, removed or doubled, with intact checksums."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    names = list(members)
    name = names[rng.integers(len(names))]
    how = rng.integers(5)
    if how == 0:
        del members[name]
    elif how == 1:
        members[f"{name.removesuffix('.npy')}x.npy"] = members.pop(name)
    elif how == 2:
        members[name] = members[names[rng.integers(len(names))]]
    elif how == 3 and name.endswith(".npy"):
        members[name] = _array(rng, members[name])
    elif members[name]:
        members[name] = bytes_damaged(rng, list(members.values()), names.index(name))
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for member, value in members.items():
            archive.writestr(member, value)
    return written.getvalue()


def _tree(rng: np.random.Generator, values: object) -> object:
    """Nested dicts and lists with one value replaced, removed, doubled or under another key."""
    places = list(_places(values))
    if not places:
        return _STRANGE[rng.integers(len(_STRANGE))]
    holder, key = places[rng.integers(len(places))]
    how = rng.integers(7)
    if how == 0:
        del holder[key]
    elif how == 1 and isinstance(holder, dict):
        holder[f"{key}{rng.choice(['x', '.', ' ', '.a'])}"] = holder.pop(key)
    elif how == 2:
        other, name = places[rng.integers(len(places))]
        holder[key] = json.loads(json.dumps(other[name], default=str))
    elif how == 3 and isinstance(holder, list):
        holder.insert(key, holder[key])
    elif how == 4:
        holder[key] = values  # YAML can hold itself
    else:
        holder[key] = _STRANGE[rng.integers(len(_STRANGE))]
    return values


def _places(values: object):
    if isinstance(values, dict | list):
        for key in list(values) if isinstance(values, dict) else range(len(values)):
            yield values, key
            yield from _places(values[key])


def _json(rng: np.random.Generator, content: bytes) -> bytes:
    return json.dumps(_tree(rng, json.loads(content))).encode()


def _yaml(rng: np.random.Generator, content: bytes) -> bytes:
    return yaml.safe_dump(_tree(rng, yaml.safe_load(content)), allow_unicode=True).encode()


_INSIDE: dict[str, Callable[[np.random.Generator, bytes], bytes]] = {
    ".png": _picture,
    ".jpg": _picture,
    ".npy": _array,
    ".npz": _archive,
    ".pth": _archive,
    ".json": _json,
    ".yaml": _yaml,
}
