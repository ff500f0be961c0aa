"""The papers' tables, to stand beside what was measured, and how far they compare.

SIV-GAN (CVIU 2024): Tables 1 and 2, where "Places" are SinGAN's 50 images and "DY" 15 middle frames or videos of
DAVIS-YFCC100M; and the ablations, Tables 3 to 6, each row with the name of its setting in configs/ablations.py.
"""

from typing import NamedTuple

from siv_jax.metrics import table

IMAGE_KEYS = ("sifid_64_best", "sifid_64", "sifid_768", "lpips_diversity", "pixel_diversity", "distance_to_train")
IMAGE_ROWS = {
    "SinGAN, Places": (0.09, 0.15, 25.33, 0.22, 0.52, 0.24),
    "ConSinGAN, Places": (0.06, 0.08, 23.45, 0.24, 0.50, 0.25),
    "FastGAN, Places": (0.11, 0.14, 16.52, 0.15, 0.48, 0.08),
    "SIV-GAN, Places": (0.05, 0.06, 12.12, 0.28, 0.57, 0.31),
    "SinGAN, DY": (0.10, 0.13, 34.52, 0.26, 0.54, 0.30),
    "ConSinGAN, DY": (0.08, 0.09, 27.33, 0.29, 0.59, 0.31),
    "FastGAN, DY": (0.10, 0.13, 19.48, 0.18, 0.49, 0.11),
    "SIV-GAN, DY": (0.07, 0.08, 16.30, 0.33, 0.66, 0.37),
}

VIDEO_KEYS = ("sifid_64", "sifid_768", "lpips_diversity", "distance_to_train")
VIDEO_ROWS = {
    "SinGAN, DY": (2.47, 96.35, 0.32, 0.51),
    "ConSinGAN, DY": (2.74, 74.50, 0.34, 0.53),
    "FastGAN, DY": (0.79, 9.24, 0.43, 0.13),
    "SIV-GAN, DY": (0.55, 5.14, 0.43, 0.34),
}

CAVEAT = (
    "The papers' SIFID used other Inception weights and is not comparable in absolute value: with these (FID-2015), "
    "the authors' own published samples come out 3.6 to 6.2 times as high at 64-d, in the same ranking, and of the "
    "published magnitude at 768-d, which hardly separates models. Pictures of 64 pixels and short runs give values a "
    "hundred times as high. LPIPS falls with the size of the pictures (.30 at "
    "250 pixels, .17 at 128, .08 at 64 for the same samples). Only numbers made by one implementation at one size "
    "stand in one table; SIFID alone rewards copying, so it is read together with diversity and distance to train."
)
VIDEO_CAVEAT = (
    "The paper does not say how it pairs a video's samples with its frames: here SIFID is the mean over all pairs, "
    "and the set FID compares all samples with all frames at once."
)


class Ablations(NamedTuple):
    """One table.

    keys: the metrics, of pictures and of clips; none where the table has none of these.
    rows: label, name of the ablation, and the published values of pictures and of clips.
    """

    number: int
    title: str
    keys: tuple[tuple[str, ...], tuple[str, ...]]
    rows: tuple[tuple[str, str, tuple[float, ...], tuple[float, ...]], ...]


_SHORT = ("sifid_64", "lpips_diversity", "pixel_diversity", "distance_to_train")
_SHORTEST = ("sifid_64", "lpips_diversity")

ABLATIONS = (
    Ablations(
        *(3, "parts of the model", (IMAGE_KEYS[1:], VIDEO_KEYS)),
        (
            ("full", "full", (0.08, 16.30, 0.33, 0.66, 0.37), (0.55, 5.14, 0.43, 0.34)),
            ("no layout branch", "no_layout", (0.14, 20.29, 0.35, 0.67, 0.40), (0.71, 11.70, 0.42, 0.38)),
            ("no content branch", "no_content", (0.08, 23.25, 0.34, 0.64, 0.36), (0.73, 10.43, 0.41, 0.33)),
            ("no branches", "no_branches", (0.03, 7.73, 0.13, 0.43, 0.12), (0.42, 3.73, 0.37, 0.18)),
            ("no DR", "no_dr", (0.05, 11.99, 0.04, 0.33, 0.06), (0.40, 9.81, 0.30, 0.32)),
            ("no FA", "no_fa", (0.08, 14.81, 0.27, 0.58, 0.33), (0.51, 4.85, 0.41, 0.32)),
            ("no low-level loss", "no_low_level", (0.08, 15.92, 0.27, 0.56, 0.29), (0.58, 5.32, 0.40, 0.31)),
        ),
    ),
    Ablations(
        *(4, "regularizers", (_SHORT, ())),
        (
            ("none", "no_dr", (0.05, 0.04, 0.33, 0.06), ()),
            ("zCR", "zcr", (0.05, 0.06, 0.37, 0.09), ()),
            ("DS", "ds", (0.06, 0.14, 0.45, 0.14), ()),
            ("DR in image space", "image_dr", (0.07, 0.21, 0.52, 0.25), ()),
            ("DR", "full", (0.08, 0.33, 0.66, 0.37), ()),
        ),
    ),
    Ablations(
        *(5, "lambda", (_SHORT, ())),
        (
            ("0", "no_dr", (0.05, 0.04, 0.33, 0.06), ()),
            ("0.05", "lambda_0.05", (0.07, 0.19, 0.50, 0.23), ()),
            ("0.15", "full", (0.08, 0.33, 0.66, 0.37), ()),
            ("0.5", "lambda_0.5", (0.13, 0.39, 0.69, 0.46), ()),
        ),
    ),
    Ablations(
        *(6, "low-level blocks of 7", (_SHORTEST, _SHORTEST)),
        (
            ("1", "low_level_1", (0.59, 0.42), (2.75, 0.46)),
            ("2", "low_level_2", (0.13, 0.40), (1.12, 0.45)),
            ("3", "low_level_3", (0.08, 0.33), (0.55, 0.43)),
            ("4", "low_level_4", (0.06, 0.24), (0.36, 0.38)),
            ("5", "low_level_5", (0.03, 0.15), (0.40, 0.37)),
            ("6", "low_level_6", (0.03, 0.13), (0.35, 0.36)),
        ),
    ),
)


def beside_ours(published: Ablations, records: dict[str, dict], video: bool) -> list[list[str]]:
    """A heading and the rows of `published` with its values beside ours, as `table.lines` takes them.

    Args:
      records: what metrics.json holds, by name of the ablation; a row without one has dashes.
      video: the values of clips, not those of pictures.
    """
    by_key = {column.key: column for column in table.COLUMNS}
    columns = [by_key[key] for key in published.keys[video]]
    rows = [[f"Table {published.number}, {published.title} ({'clip' if video else 'picture'})"]]
    rows[0] += [title for column in columns for title in (column.title, "paper")]
    for label, name, *values in published.rows:
        means = records[name]["mean"] if name in records else {}
        cells = [(table.number(means.get(c.key), c), f"{v:.2f}") for v, c in zip(values[video], columns, strict=True)]
        rows.append([label, *(text for pair in cells for text in pair)])
    return rows
