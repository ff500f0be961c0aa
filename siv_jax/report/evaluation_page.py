"""report.html of an evaluation: what was measured, the pictures behind it, and the papers' rows beside it."""

import base64
import io

import numpy as np
from PIL import Image

from siv_jax.data.selection import evenly
from siv_jax.metrics import diversity, published, table
from siv_jax.metrics.cases import Case, shown
from siv_jax.metrics.measure import Measurement
from siv_jax.report import html
from siv_jax.report.charts import histogram
from siv_jax.words import counted

REPORT = "report.html"
# Metrics that say most, for the page of a run.
MAIN = ("sifid_64", "sifid_768", "lpips_diversity", "distance_to_train")
_SMALL, _LARGE = 150, 240  # longer sides in pixels
_MOST_REALS = 12
# Samples are called varied where two of them differ this many times as much as a copy may differ from the photo, and
# copies few up to this share.
_VARIED, _FEW = 2.0, 0.1


def page(record: dict, images: list[dict]) -> str:
    """HTML of a record of `metrics.record`, with what `image` gave for each of its images."""
    protocol = record["protocol"]
    video = any(image["training_images"] > 1 for image in record["images"])
    values = {
        "name": record["name"],
        "verdict": verdict(record),
        "protocol": protocol,
        "weights": ", ".join(f"{name} {digest}" for name, digest in protocol["weights"].items()),
        "numbers": numbers(record["mean"]),
        "per_image": _per_image(record) if len(record["images"]) > 1 else [],
        "papers": _papers(record, video),
        "caveat": f"{published.CAVEAT} {published.VIDEO_CAVEAT}" if video else published.CAVEAT,
    }
    return html.render("evaluation.html.j2", **values, images=images)


def image(case: Case, found: Measurement, most: int) -> dict:
    """What the page shows of one training image or clip; of at most `most` samples, and `most` pairs."""
    count, total = len(case.fakes), len(case.reals)
    nearest_first = np.argsort(found.nearest.distance, kind="stable")[:most]
    return {
        "name": case.name,
        "facts": f"{counted(count, 'sample')} of {shown(case.fakes.shape[1:3])}, {counted(total, 'training image')}",
        "notes": case.notes,
        "samples": count,
        "training_images": total,
        "reals": [_thumbnail(real, _LARGE) for real in case.reals[evenly(total, _MOST_REALS)]],
        "fakes": [_thumbnail(fake, _SMALL) for fake in case.fakes[:most]],
        "charts": _distributions(found),
        "map": _pixel_map(case.fakes) if count > 1 else None,
        "copies": copies(int(found.near_copies.sum()), count),
        "threshold": f"{found.threshold:.3f}",
        "pairs": [_pair(case, found, i) for i in nearest_first],
    }


def numbers(metrics: dict, keys: tuple[str, ...] | None = None) -> list[dict[str, str]]:
    """The metrics (of `keys`) of a record as texts: title, value, interval, better, meaning."""
    return [
        {
            "title": column.title,
            "value": table.number(metrics[column.key], column),
            "interval": table.interval(metrics[column.key], column),
            "better": f"{column.better} is better" if column.better else "",
            "meaning": column.meaning,
        }
        for column in table.columns([metrics], keys)
    ]


def copies(near: int, count: int) -> str:
    """How many of `count` samples are near copies, as a sentence."""
    if near == 0:
        return f"None of {counted(count, 'sample')} is a near copy."
    return f"{near} of {counted(count, 'sample')} {'is a near copy' if near == 1 else 'are near copies'}."


def verdict(record: dict) -> str:
    """The two things to know first: whether samples are copies, and how much they differ.

    How much is told against the distance up to which a sample counts as a copy, since LPIPS depends on their size.
    """
    images = record["images"]
    near = sum(sample["near_copy"] for image in images for sample in image["per_sample"])
    total = sum(image["samples"] for image in images)
    varied, said = record["mean"].get("lpips_diversity"), copies(near, total)
    if varied is None:
        return said
    said += f" Two samples differ by {varied['value']:.2f} (LPIPS) on average"
    thresholds = [image["near_copy_threshold"] for image in images if image.get("near_copy_threshold")]
    if not thresholds:
        return f"{said}."
    times = varied["value"] * len(thresholds) / sum(thresholds)
    word = "Varied" if times >= _VARIED else "Hardly varied" if times >= 1 else "Nearly alike"
    amount = "no" if near == 0 else "few" if near < _FEW * total else "many"
    return f"{word}, {amount} copies. {said}, {times:.1f} times as much as a copy may differ from the photo."


def _per_image(record: dict) -> list[list]:
    names = [*(image["name"] for image in record["images"]), "mean"]
    return table.rows_of(names, [*(image["metrics"] for image in record["images"]), record["mean"]])


def _papers(record: dict, video: bool) -> list[list[str]]:
    keys = published.VIDEO_KEYS if video else published.IMAGE_KEYS
    rows = published.VIDEO_ROWS if video else published.IMAGE_ROWS
    columns = {column.key: column for column in table.COLUMNS}
    ours = [record["name"], *(table.number(record["mean"].get(key), columns[key]) for key in keys)]
    theirs = [[f"{name} (paper)", *(f"{value:.2f}" for value in row)] for name, row in rows.items()]
    return [["", *(columns[key].title for key in keys)], ours, *theirs]


def _distributions(found: Measurement) -> list[dict]:
    charts = [
        histogram(found.per_sample[f"sifid_{block}"], f"SIFID of each sample, {block}-d", decimals)
        for block, decimals in ((64, 3), (768, 2))
        if f"sifid_{block}" in found.per_sample
    ]
    if len(found.pairs) > 1:
        charts.append(histogram(found.pairs[np.triu_indices(len(found.pairs), 1)], "LPIPS of each pair of samples", 3))
    marks = {"near copy up to": found.threshold}
    return [*charts, histogram(found.nearest.distance, "Distance to train of each sample", 3, marks)]


def _pixel_map(fakes: np.ndarray) -> dict[str, str]:
    from matplotlib import colormaps

    colours, deviation = colormaps["inferno"], diversity.pixel_map(fakes)
    highest = float(np.quantile(deviation, 0.995))
    heat = colours(deviation / max(highest, 1e-9), bytes=True)
    scale = ", ".join("rgb({},{},{})".format(*colours(share, bytes=True)) for share in np.linspace(0, 1, 6))
    mean = fakes.mean(axis=0).round().astype(np.uint8)
    return {
        "deviation": _uri(Image.fromarray(heat), "PNG"),
        "highest": f"{highest:.0f}",
        "ramp": f"linear-gradient(to right, {scale})",
        "mean": _thumbnail(mean, max(mean.shape)),
    }


def _thumbnail(image: np.ndarray, longest: int) -> str:
    """uint8 [H, W, 3] as JPEG, its longer side brought down to `longest` pixels."""
    picture = Image.fromarray(image)
    picture.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    return _uri(picture, "JPEG", quality=85)


def _uri(picture: Image.Image, file_format: str, **options) -> str:
    """The picture as a data: URI."""
    buffer = io.BytesIO()
    picture.save(buffer, format=file_format, **options)
    return f"data:image/{file_format.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _pair(case: Case, found: Measurement, i: int) -> dict:
    nearest = found.nearest
    which = f"training image {nearest.image[i] + 1}" if len(case.reals) > 1 else "training image"
    return {
        "near": bool(found.near_copies[i]),
        "sample": _thumbnail(case.fakes[i], _LARGE),
        "nearest": _thumbnail(nearest.views[i], _LARGE),
        "distance": f"{nearest.distance[i]:.3f}",
        "name": case.names[i],
        "which": which if nearest.plain[i] else f"{which}, augmented",
    }
