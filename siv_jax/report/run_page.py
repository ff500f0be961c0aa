"""index.html in a workdir: what a browser shows of a run while it trains and afterwards."""

import contextlib
import time
from collections.abc import Mapping
from pathlib import Path

from PIL import Image

import siv_jax
from siv_jax import config as config_lib
from siv_jax.cli import command_text
from siv_jax.config import Config
from siv_jax.data import Source
from siv_jax.data.resize import limited
from siv_jax.data.selection import evenly
from siv_jax.errors import UserError
from siv_jax.models import registry
from siv_jax.report import charts, html
from siv_jax.sampling import pictures
from siv_jax.sampling.pair_files import MASK
from siv_jax.sampling.sample_files import SHEET
from siv_jax.workdir import kept_input, logs
from siv_jax.workdir import layout as workdir

PAGE, PICTURE = "index.html", "training.png"
EVALUATION = "evaluation"
# Points in a curve at most, so that the page of a long run stays small.
POINTS = 600
# Frames shown of a clip, and rendered samples shown large.
_FRAMES, _LARGE = 6, 4
# Longer side in pixels of the training picture, and of each frame shown.
_PICTURE_SIDE, _FRAME_SIDE = 1024, 384
# The page says that the run was probably interrupted once it is older than this many times the time between two sample
# grids, and than this many seconds; than an hour where the speed is not known yet.
_PATIENCE, _LEAST_PATIENCE, _UNKNOWN_PATIENCE = 3, 300, 3600
_SPEED = "steps_per_second"


class RunPage:
    """The page of one workdir, made anew by each `write`."""

    def __init__(self, folder: Path):
        """Writes training.png, the picture or some frames of the clip.

        Raises UserError: `folder` is no workdir with frames.
        """
        self._folder = folder
        _save_sheet(kept_input.load(folder), folder / PICTURE)

    def write(self, step: int, ended: bool = False) -> Path:
        """Writes the page as things stand after `step`; returns its path.

        Args:
          step: completed steps. Grids and log entries of later ones, which a resumed run makes again, are left out.
          ended: nothing more will come; then a newer checkpoint counts for more than `step`.
        """
        if ended:
            step = max(step, workdir.completed_steps(self._folder))
        data = gather(self._folder, step, ended)
        return html.write(self._folder / PAGE, html.render("run.html.j2", **data))


def refresh(folder: Path) -> None:
    """Writes a run's page anew, where there is one, after an evaluation; that of a run in training comes by itself."""
    if not (folder / PAGE).exists() or not (folder / workdir.CONFIG).exists():
        return
    with contextlib.suppress(UserError, OSError):  # in use, or in a place that may only be read
        lock = workdir.lock(folder)
        try:
            RunPage(folder).write(0, ended=True)
        finally:
            lock.release()


def gather(folder: Path, step: int, ended: bool) -> dict:
    """What run.html.j2 shows of a workdir; see RunPage.write for the arguments."""
    config, record = workdir.load_config(folder), workdir.load_record(folder)
    family, num_steps = registry.get(config.model.name), record.num_steps
    entries = [entry for entry in logs.entries(folder) if entry["step"] <= step]
    speed = entries[-1][_SPEED] if entries else None
    curves, entries_per_point = thinned(entries)
    size, first_grid = f"{record.plan.width}x{record.plan.height}", min(config.sample_every, num_steps)
    sheet = folder / workdir.SAMPLES / SHEET
    return {
        "title": family.title,
        "name": folder.resolve().name,
        "state": "finished" if step >= num_steps else "stopped" if ended else "training",
        "step": step,
        "num_steps": num_steps,
        "speed": speed,
        "seconds": _seconds(entries, step),
        "left": (num_steps - step) / speed if speed else None,
        "updated": time.time(),
        "due": max(_LEAST_PATIENCE, _PATIENCE * first_grid / speed) if speed else _UNKNOWN_PATIENCE,
        "facts": f"{record.source} at {size}, batch {config.batch_size}",
        "rendered": _rendered(folder),
        "size": size,
        "picture": {"file": PICTURE, "caption": _caption(record.source, record.num_frames)},
        "grids": [{"step": at, "file": file} for at, file in grids(folder) if at <= step],
        "samples": sheet.relative_to(folder).as_posix() if sheet.exists() else "",
        "first_grid": first_grid,
        "first_log": min(config.log_every, num_steps),
        "charts": [_chart(name, labels, curves) for name, labels in groups(curves, family.headline)],
        "area": charts.AREA,
        "curves": curves,
        "entries_per_point": entries_per_point,
        "evaluation": _evaluation(folder),
        "commands": _commands(folder),
        "settings": _settings(config),
        "version": siv_jax.__version__,
    }


def grids(folder: Path) -> list[tuple[int, str]]:
    """(step, path relative to the folder) of each sample grid."""
    files = sorted((folder / workdir.GRIDS).glob("step_*.png"))
    return [(int(path.stem.removeprefix("step_")), f"{workdir.GRIDS}/{path.name}") for path in files]


def thinned(entries: list[dict]) -> tuple[dict[str, list], int]:
    """Entries as columns of at most POINTS values, and how many entries stand behind each value.

    A value is the mean of neighbouring entries, at the step of the last of them, to four digits; None where no
    entry has it.
    """
    size = max(1, -(-len(entries) // POINTS))
    parts = [entries[i : i + size] for i in range(0, len(entries), size)]
    names = dict.fromkeys(name for entry in entries for name in entry if name not in ("step", "seconds"))
    columns = {name: [_mean([entry[name] for entry in part if name in entry]) for part in parts] for name in names}
    return {"step": [part[-1]["step"] for part in parts]} | columns, size


def groups(metrics: Mapping, headline: Mapping[str, str]) -> list[tuple[str, dict[str, str]]]:
    """(title, metric -> label) of each chart: headline, a chart for each metric with parts, the rest, speed."""
    found = {"Main metrics": {metric: label for label, metric in headline.items() if metric in metrics}}
    rest = {}
    for metric in metrics:
        whole, slash, part = metric.partition("/")
        if slash:
            found.setdefault(_words(whole), {})[metric] = _words(part)
        elif metric not in ("step", "seconds", _SPEED, *headline.values()):
            rest[metric] = _words(metric)
    speed = {_SPEED: "steps per second"} if _SPEED in metrics else {}
    charts_of = [*found.items(), ("Other metrics", rest), ("Speed", speed)]
    return [(title, labels) for title, labels in charts_of if labels]


def _seconds(entries: list[dict], step: int) -> float | None:
    """Time in training; steps after the last entry count at its speed."""
    if not entries:
        return None if step else 0.0
    return logs.seconds_trained(entries) + (step - entries[-1]["step"]) / max(entries[-1][_SPEED], 1e-9)


def _mean(values: list[float]) -> float | None:
    return float(f"{sum(values) / len(values):.4g}") if values else None


def _words(name: str) -> str:
    return name.replace("_", " ")


def _chart(title: str, labels: dict[str, str], curves: dict[str, list]) -> dict:
    looks = [charts.look(i) for i in range(len(labels))]
    lines = [
        {"metric": metric, "label": label, "colour": colour + 1, "dashes": dashes}
        for (metric, label), (colour, dashes) in zip(labels.items(), looks, strict=True)
    ]
    return {"title": title, "lines": lines, "svg": charts.curves(title, curves["step"], [curves[m] for m in labels])}


def _save_sheet(source: Source, path: Path) -> None:
    """Writes the picture, or some frames of the clip side by side."""
    frames = source.resized(*limited(source.size, _FRAME_SIDE if source.num_frames > 1 else _PICTURE_SIDE))
    chosen = evenly(len(frames), _FRAMES)
    shown = frames[chosen] if frames.dtype == "uint8" else pictures.to_uint8(frames[chosen])
    if source.masks is not None:
        labels = source.masks.resized(*shown.shape[1:3]).labels[chosen]
        shown = pictures.with_overlays(shown, labels, source.masks.format.colours())
    pictures.save_png(path, pictures.viewable(shown[0]) if len(shown) == 1 else pictures.grid(shown))


def _caption(source: str, count: int) -> str:
    return source if count == 1 else f"{source}: {min(count, _FRAMES)} of the {count} frames trained on"


def _rendered(folder: Path) -> dict | None:
    """The first rendered samples and their masks, where they have some, how many there are, and their size."""
    files = sorted((folder / workdir.RENDERED).glob("sample_*.png"))
    if not files:
        return None
    with Image.open(files[0]) as first:
        size = f"{first.width}x{first.height}"
    masks = sorted((folder / workdir.RENDERED).glob(f"{MASK}*.png"))
    shown, laid_over = ([f"{workdir.RENDERED}/{file.name}" for file in found[:_LARGE]] for found in (files, masks))
    return {"files": shown, "masks": laid_over, "count": len(files), "size": size}


def _evaluation(folder: Path) -> dict | None:
    """The main numbers of the evaluation in the workdir; None without one, or where it cannot be read."""
    if not (folder / EVALUATION).is_dir():
        return None
    from siv_jax.metrics import record
    from siv_jax.report import evaluation_page

    try:
        found = record.read(folder / EVALUATION / record.FILE)
        numbers = evaluation_page.numbers(found["mean"], evaluation_page.MAIN)
        verdict = evaluation_page.verdict(found)
    except (UserError, KeyError, TypeError, AttributeError):
        return None
    report = f"{EVALUATION}/{evaluation_page.REPORT}"
    return {"verdict": verdict, "numbers": numbers, "report": report if (folder / report).exists() else ""}


def _commands(folder: Path) -> list[tuple[str, str]]:
    commands = {
        "Draw more samples": ("sample", "--num", 100),
        "Render samples at the photo's size": ("render", "--num", 20, "--size", "photo"),
        "Measure how good and how varied they are": ("evaluate",),
    }
    lines = [
        (what, command_text.shell(f"siv_jax.{name}", "--workdir", folder, *options))
        for what, (name, *options) in commands.items()
    ]
    page = command_text.shell("siv_jax.app", "--folder", folder.parent)
    return [
        *lines,
        ("Walk between samples, keep favourites, download: in the browser", page),
        ("Train: the same line goes on after an interruption", command_text.training(folder)),
    ]


def _settings(config: Config) -> list[tuple[str, str, str]]:
    """(key, value, usual value) as texts."""
    usual = config_lib.flatten(type(config)())
    return [(key, str(value), str(usual[key])) for key, value in config_lib.flatten(config).items()]
