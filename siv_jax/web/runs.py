"""The runs in a folder as the page shows them: which there are, how far each is, and its newest pictures."""

import dataclasses
from pathlib import Path

import filelock

from siv_jax.data.folders import natural_key
from siv_jax.errors import UserError
from siv_jax.report import run_page
from siv_jax.train import final_samples, fleet, fleet_summary
from siv_jax.web import trainer
from siv_jax.workdir import layout, logs

STARTING, TRAINING, ELSEWHERE, FINISHED, STOPPED, FAILED = (
    *("starting", "training", "training elsewhere"),
    *("finished", "stopped", "failed"),
)
_LOST = ("failed", "diverged")  # outcomes of a fleet's photos that no further training changes
GOING = (STARTING, TRAINING, ELSEWHERE)
_UNSAMPLED = "trained, but its final samples are not all there: Go on makes them"


@dataclasses.dataclass(frozen=True)
class Status:
    """How far a run is.

    seconds: of training so far; left: to go, as far as is known.
    grid: newest sample grid, with its step; None before the first.
    rendered: files of the final samples.
    problem: why it failed, what it lacks, or the last line that was said of a run that starts.
    is_fleet: `step` and `num_steps` count photos, of which `rendered` has the first sample each.
    """

    run: str
    state: str
    step: int = 0
    num_steps: int = 0
    seconds: float = 0.0
    left: float | None = None
    grid: tuple[int, Path] | None = None
    rendered: tuple[Path, ...] = ()
    problem: str = ""
    has_weights: bool = False
    is_fleet: bool = False


def names(folder: Path) -> list[str]:
    """Runs and fleets in the folder, and the runs of a fleet as FLEET/NAME, in natural order."""
    patterns = (f"*/{layout.CONFIG}", f"*/*/{layout.CONFIG}", f"*/{trainer.LOG}", f"*/{fleet.SETTINGS}")
    found = {path.parent.relative_to(folder) for pattern in patterns for path in folder.glob(pattern)}
    shown = [run.as_posix() for run in found if not any(part.startswith(".") for part in run.parts)]
    return sorted(shown, key=natural_key)


def newest(folder: Path) -> str | None:
    """The run in training, or the one that something was written into last; None without runs."""
    training = trainer.current(folder)
    if training is not None and training.run:
        return training.run
    there = names(folder)
    return max(there, key=lambda run: _touched(folder / run), default=None)


def require(folder: Path, run: str | None) -> Path:
    """The workdir of a run of `names`. Raises UserError: there is none of that name."""
    if not run or run not in names(folder):
        raise UserError(f"there is no run {str(run)[:80]!r} in {folder}" if run else "choose a run first")
    return folder / run


def stamp(path: Path) -> int:
    """Of a file or a folder: another number once it was deleted and made again; 0 where there is none."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def made(folder: Path, run: str | None) -> tuple:
    """Tells a run from all others, also from one that was deleted and had its name."""
    return run, stamp(folder / (run or "") / layout.SOURCE)


def status(folder: Path, run: str) -> Status:
    """How far the run is. Raises UserError: its files cannot be read."""
    workdir = folder / run
    training = trainer.current(folder)
    ours = training is not None and (training.run == run or (_is_of(run, training.run) and _in_use(workdir)))
    lines = trainer.said(folder, run)
    if (workdir / fleet.SETTINGS).exists():
        return _of_fleet(workdir, run, ours, lines)
    if not (workdir / layout.CONFIG).exists():
        last = lines[-1] if lines else ""
        return Status(run, STARTING if ours else FAILED, problem=last)
    record, entries = layout.load_record(workdir), logs.entries(workdir)
    saved = layout.completed_steps(workdir)
    step = max(saved, entries[-1]["step"] if entries else 0)
    trained = saved >= record.num_steps  # imported weights: 0 of 0, and no samples
    done = trained and (not record.num_steps or final_samples.are_there(workdir))
    going = TRAINING if ours else ELSEWHERE if _in_use(workdir) else ""
    speed = entries[-1]["steps_per_second"] if entries else 0.0
    drawn = run_page.grids(workdir)
    return Status(
        run=run,
        state=going or (FINISHED if done else STOPPED),
        step=step,
        num_steps=record.num_steps,
        seconds=logs.seconds_trained(entries),
        left=_left(workdir, record.num_steps, entries, step, speed),
        grid=(drawn[-1][0], workdir / drawn[-1][1]) if drawn else None,
        rendered=tuple(sorted((workdir / layout.RENDERED).glob("sample_*.png"))),
        problem=_problem(lines, bool(going), step) or (_UNSAMPLED if trained and not done and not going else ""),
        has_weights=saved > 0 or not record.num_steps,
    )


def _is_of(run: str, other: str) -> bool:
    """Whether a run is one of those of the fleet `other`."""
    return run.startswith(f"{other}/")


def _of_fleet(workdir: Path, run: str, ours: bool, lines: list[str]) -> Status:
    members = fleet_summary.read(workdir)
    done = [member for member in members if member["outcome"] == "done"]
    going = TRAINING if ours else ELSEWHERE if _in_use(workdir) else ""
    waiting = not members or any(member["outcome"] in ("waiting", "stopped") for member in members)
    first = [workdir / Path(member["workdir"]).name / layout.RENDERED / "sample_00000.png" for member in done]
    lost = [f"{member['picture']}: {member['reason']}" for member in members if member["outcome"] in _LOST]
    return Status(
        run=run,
        state=going or (STOPPED if waiting else FINISHED),
        step=len(done),
        num_steps=len(members),
        rendered=tuple(path for path in first if path.exists()),
        problem="; ".join(lost) or _problem(lines, bool(going), 1),
        is_fleet=True,
    )


def _left(workdir: Path, num_steps: int, entries: list[dict], step: int, speed: float) -> float | None:
    """Seconds to the last step or to the time limit, whichever comes first."""
    if not speed:
        return None
    limit = layout.load_config(workdir).seconds - logs.seconds_trained(entries)
    return max(0.0, min(limit, (num_steps - step) / speed))


def _problem(lines: list[str], going: bool, step: int) -> str:
    last = lines[-1] if lines else ""
    if going:
        return "" if step else last
    return last.removeprefix("error: ") if last.startswith("error: ") else ""


def _in_use(workdir: Path) -> bool:
    """Whether another process, such as a command in a terminal, holds the workdir."""
    path = workdir / layout.LOCK
    if not path.exists():
        return False
    try:
        with filelock.FileLock(path, blocking=False):
            return False
    except filelock.Timeout:
        return True
    except OSError:  # a folder that may only be read
        return False


def _touched(workdir: Path) -> float:
    return max((path.stat().st_mtime for path in workdir.iterdir()), default=0.0)
