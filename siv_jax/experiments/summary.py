"""What a table says: rows of numbers beside the paper's, what they cost, and what is missing."""

import dataclasses
import statistics
from pathlib import Path

from siv_jax.experiments.cells import EXPERIMENT, Place
from siv_jax.experiments.protocol import Row
from siv_jax.metrics import published, record, table

# Beside the metrics of the paper's table: SIFID alone rewards copying.
_MORE = ("near_copies",)
_COSTS = ("train s", "CPU s", "draw s", "GB", "n")
COSTS = (
    "train s: seconds of training, without compilation, mean over inputs; CPU s: of all cores, with compilation, which "
    "other work on the machine changes little; draw s: seconds a sample, with compilation; "
    "GB: peak memory of training, the most over inputs, on a GPU the device's, else the whole process's; n: inputs"
)
_SERIES = ", stride "


@dataclasses.dataclass(frozen=True)
class Result:
    """A row of the table.

    found: input -> what metrics.json holds. folders: input -> the cell's; of a row made elsewhere there is none.
    holes: input -> why it failed. waiting: inputs not done yet.
    record: of all inputs together, None without any.
    """

    row: Row
    found: dict[str, dict]
    folders: dict[str, Path]
    holes: dict[str, str]
    waiting: list[str]
    record: dict | None

    @property
    def mean(self) -> dict:
        """Metrics over the inputs that are done."""
        return self.record["mean"] if self.record else {}

    def costs(self) -> list[str]:
        """The cells under _COSTS."""
        made = [one[EXPERIMENT] for one in self.found.values()]
        trained = [one["training"] for one in made if one["training"]]
        drawing = [one["drawing_seconds"] for one in made]
        peaks = [one["peak_bytes"] for one in trained if one["peak_bytes"]]
        seconds = [_mean([one[key] for one in trained], 0) for key in ("seconds", "cpu_seconds")]
        return [
            *(["0", "0"] if self.row.samples == "noise" and made else seconds),
            _mean(drawing, 2),
            f"{max(peaks) / 1e9:.2f}" if peaks else "-",
            f"{len(made)}",
        ]


def _mean(values: list[float | None], decimals: int) -> str:
    """Of those that are known."""
    known = [value for value in values if value is not None]
    return f"{statistics.mean(known):.{decimals}f}" if known else "-"


def of(places: list[Place]) -> list[Result]:
    """The rows, in order."""
    groups: dict[str, list[Place]] = {}
    for place in places:
        groups.setdefault(place.row.title, []).append(place)
    return [_result(group) for group in groups.values()]


def _result(group: list[Place]) -> Result:
    row, found, folders, holes, waiting = group[0].row, {}, {}, {}, []
    for place in group:
        result = None if place.problem else place.result()
        if result is not None:
            found[place.input.name], folders[place.input.name] = result, place.cell.folder
        elif reason := place.failure():
            holes[place.input.name] = reason
        else:
            waiting.append(place.input.name)
    images = [image for one in found.values() for image in one["images"]]
    lpips = next((one["protocol"]["lpips"] for one in found.values()), "")
    return Result(row, found, folders, holes, waiting, record.of_all(row.title, images, lpips) if images else None)


def tables(title: str, number: int | None, results: list[Result], clip: bool) -> list[list[list[str]]]:
    """Tables of a heading and rows, as `table.lines` takes them: the means, and what they cost.

    Args:
      title: of the table.
      number: of the paper's table that stands beside.
      clip: whether inputs are clips.
    """
    ablations = next((one for one in published.ABLATIONS if one.number == number), None)
    if ablations is not None:
        return [_beside_ablations(ablations, results, clip)]
    keys = (published.VIDEO_KEYS if clip else published.IMAGE_KEYS) + _MORE
    columns = [next(column for column in table.COLUMNS if column.key == key) for key in keys]
    rows = [[title, *(column.title for column in columns), *_COSTS]]
    for result in results:
        cells = [(result.mean.get(column.key), column) for column in columns]
        texts = [" ".join(filter(None, (table.number(*cell), table.spread(*cell)))) for cell in cells]
        rows.append([result.row.title, *texts, *result.costs()])
    for name, values in _papers(number).items():
        texts = [f"{value:.2f}" for value in values]
        rows.append([f"{name} (paper)", *texts, *["-"] * (len(_MORE) + len(_COSTS))])
    return [rows]


def _papers(number: int | None) -> dict[str, tuple[float, ...]]:
    return {1: published.IMAGE_ROWS, 2: published.VIDEO_ROWS}.get(number, {})


def _beside_ablations(ablations: published.Ablations, results: list[Result], clip: bool) -> list[list[str]]:
    by_name = {result.row.title: result for result in results}
    records = {name: result.record for name, result in by_name.items() if result.record}
    heading, *body = published.beside_ours(ablations, records, clip)
    nothing = ["-"] * len(_COSTS)
    costs = [by_name[row[1]].costs() if row[1] in by_name else nothing for row in ablations.rows]
    return [[*heading, *_COSTS], *([*row, *cost] for row, cost in zip(body, costs, strict=True))]


def stride_row(row: Row, stride: int) -> Row:
    """The row of a model that learns from every `stride`-th frame."""
    return row.model_copy(update={"title": f"{row.title}{_SERIES}{stride}", "stride": stride})


def series(results: list[Result], key: str) -> dict[str, dict[int, float | None]]:
    """Model -> stride -> a metric."""
    lines: dict[str, dict[int, float | None]] = {}
    for result in results:
        value = result.mean.get(key)
        name = result.row.title.rpartition(_SERIES)[0]
        lines.setdefault(name, {})[result.row.stride] = value and value["value"]
    return lines


def holes(results: list[Result]) -> list[str]:
    """One line for each input that a row lacks."""
    return [f"{result.row.title}, {name}: {why}" for result in results for name, why in result.holes.items()]


def caveat(clip: bool) -> str:
    """How far ours compare with the paper's."""
    return f"{published.CAVEAT} {published.VIDEO_CAVEAT}" if clip else published.CAVEAT
