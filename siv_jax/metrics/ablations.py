"""The paper's ablation tables, each row with the name of its setting in configs/ablations.py, and ours beside them."""

import dataclasses

from siv_jax.metrics import table

_IMAGE = ("sifid_64", "sifid_768", "lpips_diversity", "pixel_diversity", "distance_to_train")
_VIDEO = ("sifid_64", "sifid_768", "lpips_diversity", "distance_to_train")
_SHORT = ("sifid_64", "lpips_diversity", "pixel_diversity", "distance_to_train")
_SHORTEST = ("sifid_64", "lpips_diversity")


@dataclasses.dataclass(frozen=True)
class Table:
    """number: the paper's (CVIU 2024). rows: label, name of the ablation and the published values of `keys`."""

    number: int
    title: str
    video: bool
    keys: tuple[str, ...]
    rows: tuple[tuple[str, str, tuple[float, ...]], ...]


TABLES = (
    Table(
        *(3, "parts of the model", False, _IMAGE),
        (
            ("full", "full", (0.08, 16.30, 0.33, 0.66, 0.37)),
            ("no layout branch", "no_layout", (0.14, 20.29, 0.35, 0.67, 0.40)),
            ("no content branch", "no_content", (0.08, 23.25, 0.34, 0.64, 0.36)),
            ("no branches", "no_branches", (0.03, 7.73, 0.13, 0.43, 0.12)),
            ("no DR", "no_dr", (0.05, 11.99, 0.04, 0.33, 0.06)),
            ("no FA", "no_fa", (0.08, 14.81, 0.27, 0.58, 0.33)),
            ("no low-level loss", "no_low_level", (0.08, 15.92, 0.27, 0.56, 0.29)),
        ),
    ),
    Table(
        *(3, "parts of the model", True, _VIDEO),
        (
            ("full", "full", (0.55, 5.14, 0.43, 0.34)),
            ("no layout branch", "no_layout", (0.71, 11.70, 0.42, 0.38)),
            ("no content branch", "no_content", (0.73, 10.43, 0.41, 0.33)),
            ("no branches", "no_branches", (0.42, 3.73, 0.37, 0.18)),
            ("no DR", "no_dr", (0.40, 9.81, 0.30, 0.32)),
            ("no FA", "no_fa", (0.51, 4.85, 0.41, 0.32)),
            ("no low-level loss", "no_low_level", (0.58, 5.32, 0.40, 0.31)),
        ),
    ),
    Table(
        *(4, "regularizers", False, _SHORT),
        (
            ("none", "no_dr", (0.05, 0.04, 0.33, 0.06)),
            ("zCR", "zcr", (0.05, 0.06, 0.37, 0.09)),
            ("DS", "ds", (0.06, 0.14, 0.45, 0.14)),
            ("DR in image space", "image_dr", (0.07, 0.21, 0.52, 0.25)),
            ("DR", "full", (0.08, 0.33, 0.66, 0.37)),
        ),
    ),
    Table(
        *(5, "lambda", False, _SHORT),
        (
            ("0", "no_dr", (0.05, 0.04, 0.33, 0.06)),
            ("0.05", "lambda_0.05", (0.07, 0.19, 0.50, 0.23)),
            ("0.15", "full", (0.08, 0.33, 0.66, 0.37)),
            ("0.5", "lambda_0.5", (0.13, 0.39, 0.69, 0.46)),
        ),
    ),
    Table(
        *(6, "low-level blocks of 7", False, _SHORTEST),
        (
            ("1", "low_level_1", (0.59, 0.42)),
            ("2", "low_level_2", (0.13, 0.40)),
            ("3", "low_level_3", (0.08, 0.33)),
            ("4", "low_level_4", (0.06, 0.24)),
            ("5", "low_level_5", (0.03, 0.15)),
            ("6", "low_level_6", (0.03, 0.13)),
        ),
    ),
    Table(
        *(6, "low-level blocks of 7", True, _SHORTEST),
        (
            ("1", "low_level_1", (2.75, 0.46)),
            ("2", "low_level_2", (1.12, 0.45)),
            ("3", "low_level_3", (0.55, 0.43)),
            ("4", "low_level_4", (0.36, 0.38)),
            ("5", "low_level_5", (0.40, 0.37)),
            ("6", "low_level_6", (0.35, 0.36)),
        ),
    ),
)


def beside_ours(published: Table, records: dict[str, dict]) -> list[list[str]]:
    """A heading and the rows of `published` with our values beside its own, as `metrics.table` writes them.

    Args:
      records: what metrics.json holds, by name of the ablation; a row without one has dashes.
    """
    columns = [next(column for column in table.COLUMNS if column.key == key) for key in published.keys]
    kind = "clip" if published.video else "picture"
    heading = [f"Table {published.number}, {published.title} ({kind})"]
    for column in columns:
        heading += [column.title, "ours"]
    body = []
    for label, name, values in published.rows:
        row = [label]
        means = records[name]["mean"] if name in records else {}
        for column, value in zip(columns, values, strict=True):
            row += [f"{value:.2f}", table.number(means.get(column.key), column)]
        body.append(row)
    return [heading, *body]
