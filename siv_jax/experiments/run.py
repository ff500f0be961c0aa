"""Does the cells of a table that are not done yet: each in a process of its own, one at a time on each device.

Other processes of the same command, on this machine or on others that share the folder, take part: whoever holds the
lock of a cell works on it, and everybody goes past those.
"""

import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Callable

import filelock

from siv_jax import system
from siv_jax.experiments import cells, probe
from siv_jax.experiments.cells import Cell
from siv_jax.train.stop_signal import StopSignal
from siv_jax.workdir.layout import write_text

_GLANCE = 0.1  # seconds between looks at the processes
_PATIENCE = 2.0  # seconds before a cell that another process works on is looked at again


@dataclasses.dataclass
class _Started:
    cell: Cell
    child: subprocess.Popen
    slot: int


def run(
    waiting: list[Cell],
    machine: probe.Machine,
    stop: StopSignal,
    ended: Callable[[Cell, int, str], None],
) -> None:
    """Does all that wait, until the signal to stop, which ends those that are under way after they have saved.

    Args:
      ended: called with each cell, its exit code (0: done) and, if it failed, the reason in one line.
    """
    waiting, running = list(waiting), []
    again_at: dict = {}  # folder -> when to look at a busy cell again
    free = list(range(machine.devices))
    try:
        while (waiting or running) and stop.name is None:
            for started in [one for one in running if one.child.poll() is not None]:
                running.remove(started)
                free.append(started.slot)
                if started.child.returncode == cells.BUSY:
                    waiting.append(started.cell)
                    again_at[started.cell.folder] = time.monotonic() + _PATIENCE
                else:
                    ended(started.cell, *outcome(started.cell, started.child.returncode))
            while free and (cell := _next(waiting, again_at, ended)) is not None:
                waiting.remove(cell)
                slot = free.pop(0)
                running.append(_Started(cell, launch(cell, machine.environment(slot)), slot))
            time.sleep(_GLANCE)
    finally:
        for started in running:
            started.child.stdin.close()  # as when this process is gone: it saves and ends
        for started in running:
            started.child.wait()


def launch(cell: Cell, environment: dict[str, str]) -> subprocess.Popen:
    """Starts the process of a cell, out of reach of the terminal's signals; what it says goes into the cell's log."""
    with open(cell.folder / cells.LOG, "ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "siv_jax.experiments.worker", str(cell.folder)],
            env=os.environ | environment,
            stdin=subprocess.PIPE,  # closed when this process is gone
            stdout=log,
            stderr=log,
            **system.apart(),
        )


def outcome(cell: Cell, code: int) -> tuple[int, str]:
    """(exit code, reason) of a cell whose process has ended; the reason is kept in the cell's folder."""
    failed = cell.folder / cells.FAILED
    if code == 0 or cell.result() is not None:  # what fails after the result is written does it no harm
        failed.unlink(missing_ok=True)
        return 0, ""
    said = (cell.folder / cells.LOG).read_text(encoding="utf-8", errors="replace").strip().splitlines()
    reason = said[-1].strip().removeprefix("error: ") if said else f"exit code {code}"
    if code < 0:
        reason = f"killed by signal {-code}" + (", as a system does that runs out of memory" if code == -9 else "")
    write_text(failed, reason + "\n")
    return (code if code > 0 else 128 - code), reason


def _next(waiting: list[Cell], again_at: dict, ended: Callable[[Cell, int, str], None]) -> Cell | None:
    """The first cell that nobody works on; those that others have done in the meantime are struck out."""
    now = time.monotonic()
    for cell in list(waiting):
        if again_at.get(cell.folder, now) > now:
            continue
        if cell.result() is not None:
            waiting.remove(cell)
            ended(cell, *outcome(cell, 0))
        elif _written(cell):
            return cell
        else:
            again_at[cell.folder] = now + _PATIENCE
    return None


def _written(cell: Cell) -> bool:
    """Writes cell.json, unless somebody works on the cell."""
    claim = cell.claim()
    try:
        claim.acquire()
    except filelock.Timeout:
        return False
    try:
        cell.write()
    finally:
        claim.release()
    return True
