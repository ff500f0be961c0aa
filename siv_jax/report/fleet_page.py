"""index.html in the folder of a fleet: a card for each member, with its newest grid and a link to its page."""

import time
from collections.abc import Mapping
from pathlib import Path

from siv_jax.report import html
from siv_jax.report.run_page import PAGE, PICTURE, grids
from siv_jax.words import counted
from siv_jax.workdir import layout as workdir
from siv_jax.workdir import logs

# The page is rewritten whenever a member ends. It says that the fleet was probably interrupted once it is older than
# this many times the training time of the slowest member, and than this many seconds.
_PATIENCE, _LEAST_PATIENCE = 2, 3600


def write(folder: Path, ended: bool = False, planned: int = 0, notes: Mapping[str, str] | None = None) -> Path:
    """Writes folder/index.html; returns its path.

    Args:
      folder: of the members' workdirs; those without a config.json yet are left out.
      ended: nothing more will come; else the page loads itself anew until all members have finished.
      planned: members in all, where some have not begun.
      notes: name of a member's folder, or of a picture that has none -> why it is not trained on, or has stopped.
    """
    notes = notes or {}
    members = [_member(path, notes) for path in workdir.runs_in(folder)]
    count = max(planned, len(members))
    finished = sum(member["step"] >= member["num_steps"] for member in members)
    slowest = max((member["num_steps"] / member["speed"] for member in members if member["speed"]), default=0)
    values = {
        "name": folder.resolve().name,
        "members": members,
        "count": count,
        "finished": finished,
        "share": sum(member["share"] for member in members) / max(1, count),
        "told": _told(members, count, finished, ended),
        "going": finished < count and not ended,
        "skipped": {name: note for name, note in notes.items() if not (folder / name / workdir.CONFIG).exists()},
        "updated": time.time(),
        "due": max(_LEAST_PATIENCE, _PATIENCE * slowest),
    }
    return html.write(folder / PAGE, html.render("fleet.html.j2", **values))


def _told(members: list[dict], count: int, finished: int, ended: bool) -> str:
    """How far all of them are, in words: "12 pictures: 5 finished, 1 in training, 6 wait"."""
    begun = sum(0 < member["step"] < member["num_steps"] for member in members)
    parts = {"finished": finished, "stopped" if ended else "in training": begun, "wait": count - finished - begun}
    listed = ", ".join(f"{number} {word}" for word, number in parts.items() if number)
    return f"{counted(count, 'picture')}{': ' if listed else ''}{listed}"


def _member(folder: Path, notes: Mapping[str, str]) -> dict:
    num_steps = workdir.load_record(folder).num_steps
    last = next(reversed(logs.entries(folder)), {"step": 0, "steps_per_second": None})
    step = max(last["step"], workdir.completed_steps(folder))
    drawn = grids(folder)
    return {
        "name": folder.name,
        "page": html.link(folder.name, PAGE),
        "picture": html.link(folder.name, PICTURE),
        "grid": html.link(folder.name, drawn[-1][1]) if drawn else "",
        "step": step,
        "num_steps": num_steps,
        "share": min(100.0, 100 * step / num_steps),
        "speed": last["steps_per_second"],
        "note": notes.get(folder.name, ""),
    }
