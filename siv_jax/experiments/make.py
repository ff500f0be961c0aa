"""A table from start to end: what is to be done, how long it takes, doing it, and what came out."""

import json
import statistics
from collections.abc import Callable
from pathlib import Path

import filelock

from siv_jax.cli import process
from siv_jax.errors import UserError
from siv_jax.experiments import cells as cells_lib
from siv_jax.experiments import inputs as inputs_lib
from siv_jax.experiments import probe, run, summary
from siv_jax.experiments import protocol as protocol_lib
from siv_jax.experiments.cells import EXPERIMENT, Cell, Place
from siv_jax.experiments.protocol import Protocol, Row
from siv_jax.experiments.summary import Result
from siv_jax.metrics import network_weights, published, table
from siv_jax.report import html, table_page
from siv_jax.train import estimate
from siv_jax.train.stop_signal import StopSignal
from siv_jax.workdir.layout import write_text


class Table:
    """What was asked for.

    Attributes:
      name: how its files begin.
      protocol, budget: the settings.
      id: of the protocol under this budget.
      number: of the paper's table beside it, or None.
      clip: whether inputs are clips.
      places: every row with every input.
    """

    def __init__(
        self,
        chosen: Path | str,
        budget: str,
        data: Path,
        out: Path,
        rows: tuple[str, ...] = (),
        only: tuple[str, ...] = (),
        samples: dict[str, Path] | None = None,
        clips: bool = False,
    ):
        """See `make`, whose arguments these are; reads the protocol and looks at the inputs.

        Raises UserError: see `make`.
        """
        self.name, path, self.number, usual = _found(chosen)
        self.protocol: Protocol = protocol_lib.load(path)
        self.number = self.number or self.protocol.table
        self.budget_name, self.budget = budget, self.protocol.budget(budget)
        self.name = f"{self.name}_{budget}"
        self.id = self.budget.identity(budget)
        if clips and self.protocol.inputs == "picture":
            raise UserError(f"--clips: the table {self.protocol.title!r} is of models that learn from pictures")
        self.clip = clips or self.protocol.inputs == "clip"
        self.data, self.out = data, out
        picked = _picked(self.protocol.rows, rows or usual)
        for title, folder in (samples or {}).items():
            if not folder.is_dir():
                raise UserError(f"--samples {title}={folder}: there is no such folder")
            if any(row.title == title for row in picked):
                raise UserError(f"--samples {title}: the table has a row of this name")
            picked.append(Row(title=title, samples="folder", folder=folder.absolute()))
        if self.budget.strides:
            trained = [row for row in picked if row.config is not None]
            picked = [summary.stride_row(row, stride) for row in trained for stride in self.budget.strides]
        self.inputs = inputs_lib.find(data, self.clip, only)
        self.places: list[Place] = cells_lib.places(self.id, budget, self.budget, picked, self.inputs, self.clip, out)

    def waiting(self) -> list[Cell]:
        """Cells that are not done, also those that failed when they were tried last."""
        return [one.cell for one in self.places if one.cell and not one.problem and one.cell.result() is None]

    def results(self) -> list[Result]:
        """The rows as they are now."""
        return summary.of(self.places)

    def tables(self, results: list[Result]) -> list[list[list[str]]]:
        """See summary.tables."""
        title = f"Table {self.number}" if self.number else self.protocol.title
        return summary.tables(title, self.number, results, self.clip)


def make(
    chosen: Path | str,
    data: str | Path,
    out: str | Path,
    *,
    budget: str = "paper",
    rows: tuple[str, ...] = (),
    only: tuple[str, ...] = (),
    samples: dict[str, Path] | None = None,
    clips: bool = False,
    devices: int = 0,
    form: str = "text",
    sheets: bool = True,
    dry_run: bool = False,
    tables_only: bool = False,
    say: Callable[[str], None] = print,
) -> int:
    """Trains and measures every model of a table on every input, and writes and prints the table.

    What is done already, here or by another process that shares `out`, is not done again.

    Args:
      chosen: "1" to "6", a table of the paper; "figure_5"; or the file of a protocol.
      data: a picture or a clip, or a folder of them.
      out: folder for runs, samples, results and the table.
      budget: of the protocol: how large, how long, how many samples.
      rows: titles of those that are wanted; all if none is given.
      only: names of the inputs that are wanted.
      samples: further rows: title -> folder of samples that somebody else made.
      clips: the inputs are clips, of a table that can be of either.
      devices: how many work at once; 0: all GPUs, or one of anything else.
      form: one of table.FORMS, in which the table is said.
      sheets: the page shows samples.
      dry_run: says what would be done and how long it takes, and writes nothing.
      tables_only: writes and says the table of what there is.
      say: takes each line that the user is told.

    Returns:
      The exit code: 0; that of the first cell that failed; or of the signal that ended the work after it was saved.

    Raises UserError: arguments, a protocol or inputs that cannot be used.
    """
    process.require_whole("devices", devices, 0, 10**6)
    asked = Table(chosen, budget, Path(data), Path(out), tuple(rows), tuple(only), samples, clips)
    waiting = asked.waiting()
    for line in _described(asked, waiting):
        say(line)
    if tables_only:
        if not any(result.found for result in asked.results()):
            raise UserError(f"{out} holds no result of this table: run this without --tables_only first")
        return _conclude(asked, form, sheets, say)
    if waiting:
        if not dry_run:
            network_weights.require([network_weights.LPIPS_FORMS[asked.budget.lpips], "inception"])
        machine, line = _estimated(asked, waiting, devices)
        say(line)
    if dry_run:
        return 0
    code, stopped = 0, None
    if waiting:
        code, stopped = _work(asked, waiting, machine, sheets, say)
    concluded = _conclude(asked, form, sheets, say)
    if stopped:
        say(f"stopped by {stopped}; the same command goes on from here")
        return process.STOPPED_BY[stopped]
    return code or concluded


def _found(chosen: Path | str) -> tuple[str, Path, int | None, tuple[str, ...]]:
    """(name, file, number of the paper's table, titles of rows) of what is asked for."""
    own = {str(one.number): one for one in published.ABLATIONS}
    if str(chosen) in own:
        names = tuple(dict.fromkeys(row[1] for row in own[str(chosen)].rows))
        return f"table_{chosen}", protocol_lib.folder() / "ablations.yaml", int(chosen), names
    if str(chosen) in ("1", "2"):
        return f"table_{chosen}", protocol_lib.folder() / f"table_{chosen}.yaml", int(chosen), ()
    if str(chosen) == "figure_5":
        return "figure_5", protocol_lib.folder() / "figure_5.yaml", None, ()
    return Path(chosen).stem, Path(chosen), None, ()


def _picked(rows: list[Row], titles: tuple[str, ...]) -> list[Row]:
    known = {row.title: row for row in rows}
    unknown = next((title for title in titles if title not in known), None)
    if unknown is not None:
        raise UserError(f"--rows: there is no {unknown}; it can be {', '.join(known)}")
    return [known[title] for title in titles or known]


def _described(asked: Table, waiting: list[Cell]) -> list[str]:
    kind = "clip" if asked.clip else "picture"
    titles = list(dict.fromkeys(one.row.title for one in asked.places))
    done = sum(not one.problem and one.result() is not None for one in asked.places)
    holes = [one for one in asked.inputs if one.problem]
    runs = len({cell.run for cell in waiting if cell.run})
    to_do = f"{len(waiting)} to do with {runs} run{'s' * (runs != 1)} of training"
    return [
        f"table     {asked.protocol.title}; budget {asked.budget_name}, protocol {asked.id}",
        f"rows      {', '.join(titles)}",
        f"inputs    {len(asked.inputs)} {kind}{'s' * (len(asked.inputs) != 1)} in {asked.data}",
        *(f"skipped   {one.name}: {one.problem}" for one in holes),
        f"cells     {len(asked.places)}: {done} done, {to_do}",
    ]


def _estimated(asked: Table, waiting: list[Cell], devices: int) -> tuple[probe.Machine, str]:
    """The machine, and a line about how long training takes."""
    runs = {cell.run: cell for cell in waiting if cell.run and cell.cost() is None}
    kinds = {run.parent: cell for run, cell in reversed(runs.items())}
    trained: dict[Path, list[float]] = {}
    for cell in filter(None, (place.cell for place in asked.places)):
        if cost := cell.cost():
            trained.setdefault(cell.run.parent, []).append(cost["seconds"])
    known = {kind: statistics.mean(seconds) for kind, seconds in trained.items()}
    unknown = [kind for kind in kinds if kind not in known]
    machine = probe.ask([_with_input(kinds[kind]) for kind in unknown], devices)
    known |= {kind: found for kind, found in zip(unknown, machine.seconds, strict=True) if found is not None}
    place = f"on {machine.devices} {machine.backend} device{'s' * (machine.devices != 1)}"
    if not runs:
        return machine, f"time      no training is left to do; {len(waiting)} cells to draw and measure {place}"
    if not known:
        return machine, f"time      unknown: no model could be timed {place}"
    usual = statistics.mean(known.values())
    total = sum(known.get(one.parent, usual) for one in runs) / machine.devices
    guessed = sum(kind not in known for kind in kinds)
    others = f"; {guessed} of {len(kinds)} models are taken to be like the mean of the others" if guessed else ""
    return machine, (
        f"time      about {estimate.in_words(total)} of training for {len(runs)} runs {place}{others}; compiling, "
        "drawing and measuring come on top"
    )


def _with_input(cell: Cell) -> dict:
    return cell.config | {"data": cell.config["data"] | {"path": str(cell.path)}}


def _work(
    asked: Table, waiting: list[Cell], machine: probe.Machine, sheets: bool, say: Callable[[str], None]
) -> tuple[int, str | None]:
    """(exit code of the first cell that failed, or 0; name of the signal that ended it)."""
    codes: list[int] = []

    def ended(cell: Cell, code: int, reason: str) -> None:
        codes.append(code)
        outcome = "failed" if code else "done"
        why = f": {reason}" if reason else ""
        say(f"{outcome:9} {len(codes)} of {len(waiting)}: {cell.row.title}, {cell.name}{why}")
        write(asked, asked.results(), sheets)

    with StopSignal().listening() as stop:
        run.run(waiting, machine, stop, ended)
    return next((code for code in codes if code), 0), stop.name


def _conclude(asked: Table, form: str, sheets: bool, say: Callable[[str], None]) -> int:
    results = asked.results()
    paths = write(asked, results, sheets)
    for one in asked.tables(results):
        for line in ("", *table.lines(one, form)):
            say(line)
    say("")
    for hole in summary.holes(results):
        say(f"hole      {hole}")
    for title, names in ((result.row.title, result.waiting) for result in results if result.waiting):
        say(f"waiting   {title}: {', '.join(names)}")
    say(f"protocol {asked.id}. {summary.COSTS}")
    say(summary.caveat(asked.clip))
    for path in paths:
        say(str(path))
    return 2 if any(one.problem for one in asked.places) else 0


def write(asked: Table, results: list[Result], sheets: bool) -> list[Path]:
    """Writes the table as text, Markdown, LaTeX, JSON and a page; their paths."""
    asked.out.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(asked.out / ".tables.lock"):  # others may write the same files
        return _written(asked, results, sheets)


def _written(asked: Table, results: list[Result], sheets: bool) -> list[Path]:
    base, paths = asked.out / asked.name, []
    found = asked.tables(results)
    for form, suffix in (("text", "txt"), ("markdown", "md"), ("latex", "tex")):
        text = "\n\n".join("\n".join(table.lines(one, form)) for one in found)
        paths.append(base.with_name(f"{base.name}.{suffix}"))
        write_text(paths[-1], text + "\n")
    paths.append(base.with_name(f"{base.name}.json"))
    write_text(paths[-1], cells_lib.dump(_as_json(asked, results)))
    paths.append(base.with_name(f"{base.name}.html"))
    text = table_page.page(asked.name, asked.protocol.title, asked.id, asked.budget, results, found, asked.clip, sheets)
    html.write(paths[-1], text)
    return paths


def _as_json(asked: Table, results: list[Result]) -> dict:
    """All numbers without those of single samples."""
    rows = []
    for result in results:
        done = {
            name: {"metrics": one["images"][0]["metrics"], "measured_by": one["protocol"]["id"]}
            | {key: one[EXPERIMENT][key] for key in ("row_id", "training", "drawing_seconds", "device", "config")}
            for name, one in result.found.items()
        }
        row = {"title": result.row.title, "mean": result.mean, "inputs": done, "holes": result.holes}
        rows.append(row | ({"waiting": result.waiting} if result.waiting else {}))
    budget = json.loads(asked.budget.model_dump_json())
    return {"title": asked.protocol.title, "protocol": asked.id, "budget": budget, "rows": rows}
