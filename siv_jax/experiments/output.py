"""The files of a table, and what is said of it in the end."""

import json
from collections.abc import Callable
from pathlib import Path

import filelock

from siv_jax.experiments import cells as cells_lib
from siv_jax.experiments import summary
from siv_jax.experiments.asked import Table
from siv_jax.experiments.cells import EXPERIMENT
from siv_jax.experiments.summary import Result
from siv_jax.metrics import table
from siv_jax.report import html, table_page
from siv_jax.workdir.layout import write_text


def conclude(asked: Table, form: str, sheets: bool, say: Callable[[str], None]) -> int:
    """Writes all and says the table, its holes and where the files are; the exit code: 2 where an input is no use."""
    results = asked.results()
    paths = write(asked, sheets)
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


def write(asked: Table, sheets: bool) -> list[Path]:
    """Writes the table as text, Markdown, LaTeX, JSON and a page; their paths."""
    asked.out.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(asked.out / ".tables.lock"):  # others may write the same files
        return _written(asked, asked.results(), sheets)


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
            | {
                key: one[EXPERIMENT][key]
                for key in ("row_id", "training", "drawing_seconds", "device", "config_name", "config")
            }
            for name, one in result.found.items()
        }
        row = {"title": result.row.title, "mean": result.mean, "inputs": done, "holes": result.holes}
        rows.append(row | ({"waiting": result.waiting} if result.waiting else {}))
    budget = json.loads(asked.budget.model_dump_json())
    return {"title": asked.protocol.title, "protocol": asked.id, "budget": budget, "rows": rows}
