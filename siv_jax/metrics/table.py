"""Metrics as tables: which columns, in which order, and how text, Markdown and LaTeX write them."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Column:
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
)

# What several runs side by side have room for.
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
    if value is None or value["low"] is None:
        return ""
    return f"±{(value['high'] - value['low']) / 2:.{column.decimals}f}"


def interval(value: dict | None, column: Column) -> str:
    """The 95% interval, or nothing."""
    if value is None or value["low"] is None:
        return ""
    return f"[{value['low']:.{column.decimals}f}, {value['high']:.{column.decimals}f}]"


def listing(metrics: dict) -> list[str]:
    """One metric a line, with its interval and meaning."""
    cells = [(metrics[column.key], column) for column in columns([metrics])]
    return _aligned([[c.title, number(v, c), interval(v, c), c.meaning] for v, c in cells], left=(0, 3))


def rows_of(names: list[str], metrics: list[dict], keys: tuple[str, ...] = SHORT) -> list[list[str]]:
    """A heading and a row for each of `metrics`."""
    shown = columns(metrics, keys)
    body = []
    for name, of_one in zip(names, metrics, strict=True):
        cells = [(of_one.get(column.key), column) for column in shown]
        body.append([name, *(" ".join(filter(None, (number(*cell), spread(*cell)))) for cell in cells)])
    return [["", *(column.title for column in shown)], *body]


def text(rows: list[list[str]]) -> list[str]:
    """Lines for a terminal."""
    return _aligned(rows, left=(0,))


def markdown(rows: list[list[str]]) -> list[str]:
    """Lines of a Markdown table."""
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    ruler = ["---", *("---:" for _ in rows[0][1:])]
    return [f"| {' | '.join(row)} |" for row in [escaped[0], ruler, *escaped[1:]]]


def latex(rows: list[list[str]]) -> list[str]:
    """Lines of a LaTeX tabular that needs the package booktabs."""
    heading, *body = [" & ".join(cell.translate(_LATEX) for cell in row) + r" \\" for row in rows]
    start = rf"\begin{{tabular}}{{l{'r' * (len(rows[0]) - 1)}}}"
    return [start, r"\toprule", heading, r"\midrule", *body, r"\bottomrule", r"\end{tabular}"]


_LATEX = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$"}
)


def _aligned(rows: list[list[str]], left: tuple[int, ...]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
