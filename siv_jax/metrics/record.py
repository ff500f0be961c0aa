"""metrics.json: what was measured, under which protocol, with every sample's values."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pydantic

from siv_jax.errors import UserError, complaint
from siv_jax.metrics import bootstrap, nearest
from siv_jax.metrics.cases import Case
from siv_jax.metrics.measure import SEED, Measurement, Value
from siv_jax.metrics.network_weights import LPIPS_FORMS, SOURCES
from siv_jax.workdir.layout import write_text

VERSION = 2  # of the recipe: to be raised with whatever changes a value
FILE = "metrics.json"


class Metric(pydantic.BaseModel):
    value: pydantic.FiniteFloat
    low: pydantic.FiniteFloat | None
    high: pydantic.FiniteFloat | None


class _Protocol(pydantic.BaseModel, extra="allow"):
    id: str


class _Image(pydantic.BaseModel):
    name: str
    size: tuple[int, int]
    samples: int
    training_images: int
    training_digest: str
    metrics: dict[str, Metric | None]
    per_sample: list[dict[str, str | bool | pydantic.FiniteFloat]]


class Record(pydantic.BaseModel):
    """What readers of metrics.json count on. `of_all` makes the whole of it."""

    name: str
    protocol: _Protocol
    mean: dict[str, Metric | None]
    images: list[_Image] = pydantic.Field(min_length=1)


def of_case(case: Case, found: Measurement) -> dict:
    """The record of one training image or clip."""
    per_sample = [
        {
            "name": name,
            **{metric: _rounded(values[i]) for metric, values in found.per_sample.items()},
            "nearest_training_image": int(found.nearest.image[i]),
            "nearest_is_augmented": not found.nearest.plain[i],
            "near_copy": bool(found.near_copies[i]),
        }
        for i, name in enumerate(case.names)
    ]
    return {
        "name": case.name,
        "source": case.source,
        "size": list(case.fakes.shape[1:3]),
        "samples": len(case.fakes),
        "training_images": len(case.reals),
        "training_digest": hashlib.sha256(case.reals.tobytes()).hexdigest()[:16],
        "near_copy_threshold": _rounded(found.threshold),
        "notes": list(case.notes),
        "metrics": {name: _value(value) for name, value in found.values.items()},
        "per_sample": per_sample,
    }


def of_all(name: str, images: list[dict], lpips: str) -> dict:
    """The whole record of the `of_case` records of one model, or of a fleet. lpips: form of LPIPS."""
    return {"name": name, "protocol": protocol(images, lpips), "mean": mean(images), "images": images}


def protocol(images: list[dict], lpips: str) -> dict:
    """All that two records must agree in before their numbers may stand in one table, and its hash as id."""
    content = {
        "version": VERSION,
        "lpips": lpips,
        "weights": {name: SOURCES[name].digest[:16] for name in (LPIPS_FORMS[lpips], "inception")},
        "sizes": [image["size"] for image in images],
        "samples": [image["samples"] for image in images],
        "training_images": [image["training_images"] for image in images],
        "views": [nearest.VIEWS, nearest.LEAST_VIEWS, nearest.PROBABILITY],
        "copy_crop": nearest.COPY_CROP,
        "resamples": bootstrap.RESAMPLES,
        "seed": SEED,
    }
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return {"id": f"siv_jax-{VERSION}-{digest[:12]}", **content}


def mean(images: list[dict]) -> dict:
    """Metrics averaged over the images that have them; the interval of several is over images."""
    if len(images) == 1:
        return images[0]["metrics"]
    found = {}
    for name in dict.fromkeys(name for image in images for name in image["metrics"]):
        values = [image["metrics"].get(name) for image in images]
        defined = np.array([value["value"] for value in values if value is not None])
        average = Value(float(defined.mean()), bootstrap.of_mean(defined, SEED)) if len(defined) else None
        found[name] = _value(average)
    return found


def write(folder: Path, record: dict) -> Path:
    """Writes metrics.json into `folder`; returns its path."""
    write_text(folder / FILE, json.dumps(record, indent=1, allow_nan=False) + "\n")
    return folder / FILE


def read(path: Path) -> dict:
    """What `write` wrote.

    Raises UserError: no such file, or no record of an evaluation: names the file and what in it is wrong.
    """
    try:
        text = path.read_bytes()
        Record.model_validate_json(text, strict=True)
        return json.loads(text)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:  # pydantic's, or of what no reader counts on
        said = complaint(error)
    raise UserError(f"{path} is no record of an evaluation ({said}): give the {FILE} that siv_jax.evaluate wrote")


def refuse_mixed(records: dict[Path, dict]) -> None:
    """Checks that all records (by their files) were made by one protocol.

    Raises UserError: says in what the first odd one differs.
    """
    (first_path, first), *others = ((path, record["protocol"]) for path, record in records.items())
    for path, protocol in others:
        if protocol["id"] != first["id"]:
            keys = sorted({*first, *protocol} - {"id"})
            odd = [key for key in keys if first.get(key) != protocol.get(key)]
            listed = "; ".join(f"{key}: {_brief(first.get(key))} and {_brief(protocol.get(key))}" for key in odd)
            raise UserError(
                f"{first_path} and {path} were made by different protocols and do not stand in one table: "
                f"{listed or 'id'}"
            )


def _brief(value: object) -> str:
    """A list of equal items as one of them, times their number."""
    if isinstance(value, list) and value and all(item == value[0] for item in value):
        return f"{value[0]}" + (f" x {len(value)}" if len(value) > 1 else "")
    return str(value)


def _value(value: Value | None) -> dict | None:
    if value is None:
        return None
    low, high = value.interval or (None, None)
    return {"value": _rounded(value.value), "low": _rounded(low), "high": _rounded(high)}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 6)
