"""The part of the report about one training image: its samples, their nearest training images, distributions."""

import html

import numpy as np

from siv_jax.metrics import diversity
from siv_jax.metrics.cases import Case, shown
from siv_jax.metrics.measure import Measurement
from siv_jax.report.charts import histogram
from siv_jax.report.thumbnails import heat_map, ramp, thumbnail

_SMALL, _LARGE = 150, 240  # longer sides in pixels
_MOST_REALS = 12


def section(case: Case, found: Measurement, most: int) -> str:
    """HTML; at most `most` samples are shown, and at most that many of those nearest to the training images."""
    order = np.argsort(found.nearest.distance, kind="stable")[:most]
    count, total = len(case.fakes), len(case.reals)
    facts = f"{count} sample{'s' * (count != 1)} of {shown(case.fakes.shape[1:3])}, {total} training image"
    parts = [
        f'<section id="{html.escape(case.name)}"><h2>{html.escape(case.name)}</h2><p>{facts}{"s" * (total != 1)}</p>',
        _notes(case.notes),
        "<h3>Training images</h3>" if total > 1 else "<h3>Training image</h3>",
        _grid(case.reals[_evenly(total, _MOST_REALS)], _LARGE, "reals"),
        f"<h3>Samples{f' (first {most} of {count})' if most < count else ''}</h3>",
        _grid(case.fakes[:most], _SMALL, "samples"),
        "<h3>Distributions</h3>",
        _distributions(found),
        _pixel_map(case, found),
        f"<h3>Each sample beside its nearest training image{f' ({most} of {count})' if most < count else ''}</h3>",
        _nearest_text(found),
        _pairs(case, found, order),
        "</section>",
    ]
    return "\n".join(parts)


def _evenly(count: int, most: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))


def _notes(notes: tuple[str, ...]) -> str:
    return f"<ul class='notes'>{''.join(f'<li>{html.escape(note)}</li>' for note in notes)}</ul>" if notes else ""


def _grid(images: np.ndarray, longest: int, kind: str) -> str:
    tiles = "".join(f'<img loading="lazy" alt="" src="{thumbnail(image, longest)}">' for image in images)
    return f'<div class="grid {kind}">{tiles}</div>'


def _distributions(found: Measurement) -> str:
    charts = [
        histogram(found.per_sample[f"sifid_{block}"], f"SIFID of each sample, {block}-d", decimals)
        for block, decimals in ((64, 3), (768, 2))
        if f"sifid_{block}" in found.per_sample
    ]
    if len(found.pairs) > 1:
        pairs = found.pairs[np.triu_indices(len(found.pairs), 1)]
        charts.append(histogram(pairs, "LPIPS of each pair of samples", 3))
    marks = ((found.threshold, "near copy up to"),)
    charts.append(histogram(found.nearest.distance, "Distance to train of each sample", 3, marks))
    return f'<div class="charts">{"".join(charts)}</div>'


def _pixel_map(case: Case, found: Measurement) -> str:
    if len(case.fakes) < 2:
        return ""
    deviation = diversity.pixel_map(case.fakes)
    highest = float(np.quantile(deviation, 0.995))
    mean = case.fakes.mean(axis=0).round().astype(np.uint8)
    return (
        "<h3>Where the samples differ</h3><div class='maps'>"
        f'<figure><img alt="" src="{heat_map(deviation, highest)}"><figcaption>standard deviation of each pixel over '
        f"the samples<span class='scale' style='background:{ramp()}'></span><span class='ends'><span>0</span>"
        f"<span>{highest:.0f} of 255</span></span></figcaption></figure>"
        f'<figure><img alt="" src="{thumbnail(mean, 10_000)}"><figcaption>mean of the samples</figcaption></figure>'
        "</div>"
    )


def _nearest_text(found: Measurement) -> str:
    copies = int(found.near_copies.sum())
    verdict = f"Of {len(found.near_copies)} samples {copies or 'none'} {'are' if copies > 1 else 'is'} one"
    return (
        "<p>Sample left; right the nearest view of a training image, plain or augmented as in training, with the LPIPS "
        f"between the two, the nearest first. Near copies are those up to {found.threshold:.3f}, which is how far the "
        f"training images are from their own central 95% scaled back up. {verdict}.</p>"
    )


def _pairs(case: Case, found: Measurement, order: np.ndarray) -> str:
    tiles = []
    for i in order:
        view = "" if found.nearest.plain[i] else ", augmented"
        which = f"training image {found.nearest.image[i] + 1}{view}" if len(case.reals) > 1 else f"training image{view}"
        copy = "<b>near copy</b> " if found.near_copies[i] else ""
        tiles.append(
            f"<figure{' class=copy' if found.near_copies[i] else ''}><div>"
            f'<img loading="lazy" alt="sample" src="{thumbnail(case.fakes[i], _LARGE)}">'
            f'<img loading="lazy" alt="nearest" src="{thumbnail(found.nearest.views[i], _LARGE)}"></div>'
            f"<figcaption>{copy}<b>{found.nearest.distance[i]:.3f}</b> {html.escape(case.names[i])} · {which}"
            "</figcaption></figure>"
        )
    return f'<div class="pairs">{"".join(tiles)}</div>'
