"""A table from start to end: what is to be done, how long it takes, doing it, and what came out."""

import statistics
from collections.abc import Callable
from pathlib import Path

from siv_jax.cli import process
from siv_jax.errors import UserError
from siv_jax.experiments import output, probe, run
from siv_jax.experiments.asked import Table
from siv_jax.experiments.cells import Cell
from siv_jax.metrics import network_weights
from siv_jax.train import estimate
from siv_jax.train.stop_signal import StopSignal
from siv_jax.words import counted


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
    add: tuple[Path, ...] = (),
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
      add: JSON of the same table, made elsewhere: its rows that are not made here stand in the table, without samples.
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
    chosen, data, out, *add = str(process.expanded(chosen)), *map(process.expanded, (data, out, *add))
    samples = {title: process.expanded(folder) for title, folder in (samples or {}).items()}
    asked = Table(chosen, budget, data, out, tuple(rows), tuple(only), samples, clips, tuple(add))
    waiting = asked.waiting()
    for line in _described(asked, waiting):
        say(line)
    if tables_only:
        if not any(result.found for result in asked.results()):
            raise UserError(f"{out} holds no result of this table: run this without --tables_only first")
        return output.conclude(asked, form, sheets, say)
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
    concluded = output.conclude(asked, form, sheets, say)
    if stopped:
        say(f"stopped by {stopped}; the same command goes on from here")
        return process.STOPPED_BY[stopped]
    return code or concluded


def _described(asked: Table, waiting: list[Cell]) -> list[str]:
    kind = "clip" if asked.clip else "picture"
    titles = list(dict.fromkeys(one.row.title for one in asked.places))
    done = sum(not one.problem and one.result() is not None for one in asked.places)
    holes = [one for one in asked.inputs if one.problem]
    runs = len({cell.run for cell in waiting if cell.run})
    to_do = f"{len(waiting)} to do with {counted(runs, 'run')} of training"
    return [
        f"table     {asked.protocol.title}; budget {asked.budget_name}, protocol {asked.id}",
        f"rows      {', '.join(titles)}",
        f"inputs    {counted(len(asked.inputs), kind)} in {asked.data}",
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
    place = f"on {counted(machine.devices, f'{machine.backend} device')}"
    if not runs:
        return (
            machine,
            f"time      no training is left to do; {counted(len(waiting), 'cell')} to draw and measure {place}",
        )
    if not known:
        return machine, f"time      unknown: no model could be timed {place}"
    usual = statistics.mean(known.values())
    total = sum(known.get(one.parent, usual) for one in runs) / machine.devices
    guessed = sum(kind not in known for kind in kinds)
    others = f"; {guessed} of {len(kinds)} models are taken to be like the mean of the others" if guessed else ""
    return machine, (
        f"time      about {estimate.in_words(total)} of training for {counted(len(runs), 'run')} {place}{others}; "
        "compiling, drawing and measuring come on top"
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
        output.write(asked, sheets)

    with StopSignal().listening() as stop:
        run.run(waiting, machine, stop, ended)
    return next((code for code in codes if code), 0), stop.name
