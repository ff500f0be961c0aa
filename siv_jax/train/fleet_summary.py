"""What became of a fleet: a line for each picture, as a table and as summary.json."""

import json
from pathlib import Path

from tabulate import tabulate

from siv_jax.errors import UserError
from siv_jax.train.fleet_members import Member
from siv_jax.workdir import layout, logs

SUMMARY = "summary.json"


def write(folder: Path, members: list[Member], passed_over: dict[str, str]) -> list[dict]:
    """Writes summary.json of the fleet in `folder`; returns its entries, one a member.

    Args:
      passed_over: name -> why of what is no member.
    """
    found = [_entry(member) for member in members]
    text = json.dumps({"members": found, "passed_over": passed_over}, indent=2)
    layout.write_text(folder / SUMMARY, text + "\n")
    return found


def read(folder: Path) -> list[dict]:
    """The entries that `write` wrote; none before the first member has ended.

    Raises UserError: the file is damaged.
    """
    path = folder / SUMMARY
    if not path.exists():
        return []
    try:
        members = json.loads(path.read_text(encoding="utf-8"))["members"]
        known = all({"picture", "outcome", "workdir", "reason"} <= member.keys() for member in members)
    except (ValueError, KeyError, TypeError, AttributeError):
        known = False
    if not known:
        raise UserError(f"{path} is damaged: start the fleet again, which writes it anew") from None
    return members


def table(found: list[dict]) -> list[str]:
    """The entries as lines of text under a heading, and why some failed below."""
    rows = [{key: value for key, value in entry.items() if key != "reason"} for entry in found]
    text = tabulate(rows, headers="keys", floatfmt=".3f", missingval="-")
    return text.splitlines() + [f"{entry['picture']}: {entry['reason']}" for entry in found if entry["reason"]]


def _entry(member: Member) -> dict:
    """Steps of the member's checkpoint, the metrics last logged, seconds trained."""
    logged = logs.entries(member.folder)
    headline = member.task.family.headline.values() if member.task else ()
    return {
        "picture": member.path.name,
        "outcome": member.outcome,
        "steps": layout.completed_steps(member.folder),
        **{name: logged[-1].get(name) if logged else None for name in headline},
        "seconds": round(logs.seconds_trained(logged), 1),
        "workdir": str(member.folder) if member.folder.exists() else None,
        "reason": member.reason,
    }
