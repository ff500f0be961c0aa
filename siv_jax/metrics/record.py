"""metrics.json: what was measured, under which protocol, with every sample's values."""

import hashlib
import json
from pathlib import Path

import numpy as np

from siv_jax import weights
from siv_jax.errors import UserError
from siv_jax.metrics import bootstrap, nearest
from siv_jax.metrics.cases import Case
from siv_jax.metrics.measure import Measurement, Settings, Value
from siv_jax.metrics.variants import VARIANTS
from siv_jax.workdir.layout import write_atomically

VERSION = 1  # of the recipe: to be raised with whatever changes a value
FILE = "metrics.json"


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


def of_all(name: str, images: list[dict], settings: Settings) -> dict:
    """The whole record of the `of_case` records of one model, or of a fleet."""
    return {"name": name, "protocol": protocol(images, settings), "mean": mean(images, settings.seed), "images": images}


def protocol(images: list[dict], settings: Settings) -> dict:
    """All that two records must agree in before their numbers may stand in one table, and its hash as id."""
    network = VARIANTS[settings.lpips].network
    content = {
        "version": VERSION,
        "lpips": settings.lpips,
        "weights": {name: weights.DIGESTS[name][:16] for name in (network, "inception")},
        "sizes": [image["size"] for image in images],
        "samples": [image["samples"] for image in images],
        "training_images": [image["training_images"] for image in images],
        "views": [nearest.VIEWS, nearest.LEAST_VIEWS, nearest.PROBABILITY],
        "copy_crop": nearest.COPY_CROP,
        "resamples": bootstrap.RESAMPLES,
        "seed": settings.seed,
    }
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return {"id": f"siv_jax-{VERSION}-{digest[:12]}", **content}


def mean(images: list[dict], seed: int) -> dict:
    """Metrics averaged over the images that have them; the interval of several is over images."""
    if len(images) == 1:
        return images[0]["metrics"]
    names = dict.fromkeys(name for image in images for name in image["metrics"])
    found = {}
    for name in names:
        values = [image["metrics"].get(name) for image in images]
        defined = np.array([value["value"] for value in values if value is not None])
        average = Value(float(defined.mean()), bootstrap.of_mean(defined, seed)) if len(defined) else None
        found[name] = _value(average)
    return found


def write(folder: Path, record: dict) -> Path:
    """Writes metrics.json into `folder`; returns its path."""
    path = folder / FILE
    text = json.dumps(record, indent=1, allow_nan=False) + "\n"
    write_atomically(path, lambda file: file.write(text.encode()))
    return path


def read(path: Path) -> dict:
    """What `write` wrote.

    Raises:
      UserError: no such file, or no record of an evaluation.
    """
    try:
        record = json.loads(path.read_text())
        intact = {"name", "protocol", "mean", "images"} <= set(record) and "id" in record["protocol"]
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, TypeError):
        intact = False
    if not intact:
        raise UserError(f"{path} is no record of an evaluation: give the {FILE} that siv_jax.evaluate wrote")
    return record


def _value(value: Value | None) -> dict | None:
    if value is None:
        return None
    low, high = value.interval or (None, None)
    return {"value": _rounded(value.value), "low": _rounded(low), "high": _rounded(high)}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 6)
