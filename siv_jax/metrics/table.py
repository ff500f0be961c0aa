"""Metrics as tables: which columns, in which order, and how text, Markdown and LaTeX write them."""

from typing import NamedTuple

import tabulate

# What a table can be written as, with tabulate's name for it. LaTeX needs the package booktabs.
FORMS = {"text": "plain", "markdown": "pipe", "latex": "latex_booktabs"}


class Column(NamedTuple):
    """key: of the record's metrics. better: "lower", "higher" or "" where neither is. meaning: one line."""

    key: str
    title: str
    decimals: int
    better: str
    meaning: str


COLUMNS = (
    Column("sifid_64_best", "SIFID 64 best", 3, "lower", "best sample, 64-d features (H/2): colours and textures"),
    Column("sifid_64", "SIFID 64", 3, "lower", "mean over samples, 64-d features; the papers' H/4"),
    Column("sifid_64_sd", "SIFID 64 sd", 3, "", "standard deviation over samples and training images"),
    Column("sifid_192", "SIFID 192", 2, "lower", "mean over samples, 192-d features"),
    Column("sifid_768", "SIFID 768", 2, "lower", "mean over samples, 768-d features: objects; the papers' H/16"),
    Column("sifid_2048", "SIFID 2048", 1, "lower", "mean over samples, 2048-d features"),
    Column("set_fid_64", "set FID 64", 3, "lower", "all samples against all frames, positions of 64-d features"),
    Column("set_fid_192", "set FID 192", 2, "lower", "the same, 192-d features"),
    Column("set_fid_768", "set FID 768", 2, "lower", "the same, 768-d features"),
    Column("set_fid_2048", "set FID 2048", 2, "lower", "the same, 2048-d features"),
    Column("set_fid_pooled", "set FID pooled", 2, "lower", "all samples against all frames, one vector a picture"),
    Column("lpips_diversity", "LPIPS", 3, "higher", "mean over pairs of samples"),
    Column("pixel_diversity", "pixel div.", 3, "higher", "deviation of pixels over samples, by the image's contrast"),
    Column("ms_ssim", "MS-SSIM", 3, "lower", "mean over pairs of samples; lower is more diverse"),
    Column("distance_to_train", "dist. to train", 3, "", "LPIPS to the nearest augmented training image"),
    Column("near_copies", "near copies", 2, "lower", "share of samples nearer than the copy threshold"),
    Column("mask_agreement", "mask IoU", 3, "higher", "masks against the labels of the most similar training patches"),
    Column("mask_accuracy", "mask accuracy", 3, "higher", "the same, share of pixels"),
    Column("mask_share_distance", "mask shares", 3, "lower", "distance of the shares of the classes from the training"),
)

# Columns of a table that compares several runs.
SHORT = (
    *("sifid_64_best", "sifid_64", "sifid_768", "set_fid_pooled"),
    *("lpips_diversity", "pixel_diversity", "ms_ssim", "distance_to_train", "near_copies"),
)


def columns(metrics: list[dict], keys: tuple[str, ...] | None = None) -> list[Column]:
    """Those of COLUMNS (of `keys`) that any of the metrics has."""
    return [
        column
        for column in COLUMNS
        if (keys is None or column.key in keys) and any(column.key in of_one for of_one in metrics)
    ]


def number(value: dict | None, column: Column) -> str:
    """A metric of a record; a dash where it is not defined."""
    return "-" if value is None else f"{value['value']:.{column.decimals}f}"


def spread(value: dict | None, column: Column) -> str:
    """Half the width of the 95% interval, or nothing."""
    return f"±{(value['high'] - value['low']) / 2:.{column.decimals}f}" if _has_interval(value) else ""


def interval(value: dict | None, column: Column) -> str:
    """The 95% interval, or nothing."""
    return "[{low:.{n}f}, {high:.{n}f}]".format(n=column.decimals, **value) if _has_interval(value) else ""


def _has_interval(value: dict | None) -> bool:
    return value is not None and None not in (value["low"], value["high"])


def rows_of(names: list[str], metrics: list[dict], keys: tuple[str, ...] = SHORT) -> list[list[str]]:
    """A heading and a row for each of `metrics`."""
    shown = columns(metrics, keys)
    body = []
    for name, of_one in zip(names, metrics, strict=True):
        cells = [(of_one.get(column.key), column) for column in shown]
        body.append([name, *(" ".join(filter(None, (number(*cell), spread(*cell)))) for cell in cells)])
    return [["", *(column.title for column in shown)], *body]


def lines(rows: list[list[str]], form: str = "text") -> list[str]:
    """Lines of a table with a heading and its rows. form: one of FORMS."""
    if form == "markdown":
        rows = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    heading, *body = rows
    sides = ["left", *("right" for _ in heading[1:])]
    text = tabulate.tabulate(body, heading, FORMS[form], colalign=sides, disable_numparse=True)
    if form == "latex":
        text = text.replace("±", r"$\pm$")
    return [line.rstrip() for line in text.splitlines()]


def listing(metrics: dict) -> list[str]:
    """One metric a line, with its interval and meaning."""
    cells = [(column, metrics[column.key]) for column in columns([metrics])]
    rows = [[column.title, number(value, column), interval(value, column), column.meaning] for column, value in cells]
    sides = ("left", "right", "right", "left")
    return tabulate.tabulate(rows, tablefmt="plain", colalign=sides, disable_numparse=True).splitlines()
