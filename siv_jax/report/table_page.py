"""The page of a table of experiments: numbers beside the paper's, curves, and samples of every model of every input."""

import base64
import json

from siv_jax.experiments import cells, summary
from siv_jax.experiments.protocol import Budget
from siv_jax.experiments.summary import Result
from siv_jax.metrics import table
from siv_jax.report import charts, html

# Of the samples of one input, under its sheet.
_SHOWN = ("sifid_64", "sifid_768", "lpips_diversity", "distance_to_train", "near_copies")
# Against the stride (paper, Fig. 5).
_CURVES = ("sifid_64", "distance_to_train", "lpips_diversity")


def page(
    name: str,
    title: str,
    protocol: str,
    budget: Budget,
    results: list[Result],
    tables: list[list[list[str]]],
    clip: bool,
    sheets: bool,
) -> str:
    """HTML of the results.

    Args:
      name: of the table's files.
      title: of the table. protocol: its id.
      tables: see summary.tables.
      clip: whether inputs are clips.
      sheets: whether to show samples and training images.
    """
    values = {
        "name": name,
        "title": title,
        "protocol": protocol,
        "budget": _settings(budget),
        "tables": tables,
        "costs": summary.COSTS,
        "caveat": summary.caveat(clip),
        "holes": summary.holes(results),
        "waiting": {result.row.title: result.waiting for result in results if result.waiting},
        "charts": _charts(results) if budget.strides else [],
        "models": [_model(result) for result in results],
        "inputs": _inputs(results, sheets),
    }
    return html.render("table.html.j2", **values)


def _settings(budget: Budget) -> list[str]:
    found = json.loads(budget.model_dump_json(exclude_defaults=True))
    groups = {key: found.pop(key, {}) for key in ("settings", "clip_settings")}
    of_clips = {f"{key} (clips)": value for key, value in groups["clip_settings"].items()}
    return [f"{key} {value}" for key, value in (found | groups["settings"] | of_clips).items() if value != ""]


def _model(result: Result) -> dict[str, str]:
    experiment = next((one[cells.EXPERIMENT] for one in result.found.values()), None)
    training = experiment and experiment["training"]
    own = {"raw": "as the network draws them", "rendered": "rendered from the picture's own patches"}
    others = {"noise": "patches from noise, without a model", "folder": "made by somebody else"}
    return {
        "title": result.row.title,
        "config": experiment["config_name"] if experiment else "",
        "size": training["size"] if training else "",
        "samples": (own | others)[result.row.samples],
        "steps": f"{training['steps']:,}" if training else "",
        "device": experiment["device"] if experiment else "",
        "id": experiment["row_id"] if experiment else "",
    }


def _inputs(results: list[Result], sheets: bool) -> list[dict]:
    names = dict.fromkeys(name for result in results for name in (*result.found, *result.holes))
    return [_input(name, results, sheets) for name in names]


def _input(name: str, results: list[Result], sheets: bool) -> dict:
    shown, training = [], ""
    columns = [column for column in table.COLUMNS if column.key in _SHOWN]
    for result in results:
        if name not in result.found and name not in result.holes:
            continue
        entry = {"title": result.row.title, "hole": result.holes.get(name, ""), "sheet": "", "numbers": ""}
        if name in result.found:
            found = result.found[name]
            metrics = found["images"][0]["metrics"]
            numbers = (f"{column.title} {table.number(metrics.get(column.key), column)}" for column in columns)
            entry["numbers"] = " · ".join(numbers)
            if sheets and name in result.folders:
                entry["sheet"] = _uri(result.folders[name] / cells.SHEET)
                training = training or _uri(result.folders[name] / cells.TRAINING)
        shown.append(entry)
    return {"name": name, "training": training, "rows": shown}


def _uri(path) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(path.read_bytes()).decode()}" if path.exists() else ""


def _charts(results: list[Result]) -> list[dict]:
    drawn = []
    for column in (column for column in table.COLUMNS if column.key in _CURVES):
        lines = summary.series(results, column.key)
        strides = sorted({stride for line in lines.values() for stride in line})
        values = [[line.get(stride) for stride in strides] for line in lines.values()]
        if any(value is not None for line in values for value in line):
            heading = f"{column.title} over the stride of frames"
            names = [{"name": name, "colour": charts.look(i)[0] + 1} for i, name in enumerate(lines)]
            drawn.append({"title": heading, "svg": charts.curves(heading, strides, values), "names": names})
    return drawn
