"""What became of a fleet: a line for each picture, as a table and as summary.json."""

import json
from pathlib import Path

from siv_jax.report import run_page as page
from siv_jax.workdir.checkpoint import completed_steps
from siv_jax.workdir.layout import CHECKPOINTS, write_atomically

SUMMARY = "summary.json"
_COLUMNS = ("picture", "outcome", "steps", "loss_g", "loss_d", "seconds", "workdir")
_NUMBERS = ("steps", "loss_g", "loss_d", "seconds")


def entry(picture: str, folder: Path, outcome: str, reason: str) -> dict:
    """One picture's line.

    Args:
      picture: its file name.
      folder: its workdir, which tells the steps of its checkpoint, its last logged losses and the seconds trained.
      outcome: done | stopped | diverged | failed | waiting.
      reason: of an outcome other than done.
    """
    logged = page.scalars(folder)
    last = logged[-1] if logged else {}
    return {
        "picture": picture,
        "outcome": outcome,
        "steps": completed_steps(folder / CHECKPOINTS),
        "loss_g": last.get("loss_g"),
        "loss_d": last.get("loss_d"),
        "seconds": round(page.seconds_trained(logged), 1),
        "workdir": str(folder) if folder.exists() else None,
        "reason": reason,
    }


def write(folder: Path, entries: list[dict]) -> Path:
    """Writes summary.json of the fleet in `folder`."""
    text = json.dumps({"members": entries}, indent=2) + "\n"
    write_atomically(folder / SUMMARY, lambda file: file.write(text.encode()))
    return folder / SUMMARY


def table(entries: list[dict]) -> list[str]:
    """The entries as lines of text under a heading, and why some failed below."""
    rows = [_COLUMNS, *([_text(entry[key]) for key in _COLUMNS] for entry in entries)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if key in _NUMBERS else cell.ljust(width)
            for key, cell, width in zip(_COLUMNS, row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]
    return lines + [f"{entry['picture']}: {entry['reason']}" for entry in entries if entry["reason"]]


def _text(value) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
