"""One model of one picture: what is asked of it, as a file, and what has become of it.

OUT/runs/CONFIG-HASH/PICTURE/         the run that trains the model, an ordinary workdir, which rows may share
OUT/PROTOCOL/ROW-HASH/PICTURE/        the cell: cell.json (what is asked), log.txt, samples/, metrics.json, report.html
OUT/frames/CLIP-HASH/every_N/         every n-th frame of a clip
"""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import filelock
import pydantic

from siv_jax import config as config_lib
from siv_jax.cli import config_file
from siv_jax.errors import UserError
from siv_jax.experiments import protocol as protocol_lib
from siv_jax.experiments.inputs import Input, number_of_frames
from siv_jax.experiments.protocol import Budget, Row
from siv_jax.metrics import record
from siv_jax.workdir import layout

CELL, LOG, FAILED, SAMPLES = "cell.json", "log.txt", "failed.txt", "samples"
SHEET, TRAINING = "sheet.jpg", "training.jpg"
COST = "cost.json"  # in the workdir of a run: what its training took
BUSY = 75  # exit code of a cell's process: another one works on the cell, or on the run that it needs
EXPERIMENT = "experiment"  # key of metrics.json that says how the samples came about


class Cell(pydantic.BaseModel):
    """What is asked.

    protocol: its id. row_id: a hash of how the samples of this row are made.
    folder: of the cell. run: workdir of its model, None for a row without training.
    config: of that run. config_name: what it is made from, as --config takes it.
    alone: whether the table has no other picture.
    frames_folder, frames: where every n-th frame of the clip lies, and how many they are; None: the clip is used whole.
    """

    model_config = pydantic.ConfigDict(frozen=True)
    protocol: str
    row: Row
    row_id: str
    budget: Budget
    name: str
    path: Path
    digest: str
    alone: bool
    folder: Path
    config: dict[str, Any] | None
    config_name: str
    run: Path | None
    frames_folder: Path | None = None
    frames: int = 0

    def write(self) -> None:
        """Writes cell.json. Results beside none that can be read go: nobody knows what they are of."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if _known(self.folder) is None:
            (self.folder / record.FILE).unlink(missing_ok=True)
        layout.write_text(self.folder / CELL, self.model_dump_json(indent=1) + "\n")

    def claim(self) -> filelock.FileLock:
        """The lock of whoever works on this cell, or on another one that needs the same run; not yet acquired."""
        work = self.run or self.folder
        work.parent.mkdir(parents=True, exist_ok=True)
        return filelock.FileLock(work.parent / f".{work.name}.lock", blocking=False)

    def result(self) -> dict | None:
        """What metrics.json holds once the cell is done, else None; a cell whose cell.json is damaged is not."""
        try:
            found = record.read(self.folder / record.FILE)
        except UserError:
            return None
        return found if EXPERIMENT in found and _known(self.folder) is not None else None

    def cost(self) -> dict | None:
        """Size, steps, seconds, CPU seconds and peak bytes of training; None where it is not done, or there is none."""
        return self.run and read_costs(self.run / COST)

    def failure(self) -> str:
        """Why it failed when it was tried last; empty if it did not."""
        path = self.folder / FAILED
        return path.read_text(encoding="utf-8").strip() if path.exists() else ""


def read_costs(path: Path) -> dict | None:
    """What a file of costs holds; None where there is none, or a damaged one."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def read(folder: Path) -> Cell:
    """The cell in `folder`. Raises UserError: there is none, or it is damaged."""
    path = folder / CELL
    try:
        # JSON has no paths: not strict.
        return Cell.model_validate_json(path.read_bytes(), strict=False)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from None
    except ValueError:
        raise UserError(f"{path} is damaged: the command that makes the table writes it anew") from None


def _known(folder: Path) -> Cell | None:
    """The cell in `folder`; None where there is none that can be read."""
    try:
        return read(folder)
    except UserError:
        return None


@dataclasses.dataclass(frozen=True)
class Place:
    """A cell of the table; `cell` is None where the input cannot be used, for the reason `problem`."""

    row: Row
    input: Input
    cell: Cell | None
    problem: str = ""

    def failure(self) -> str:
        """Why there is a hole; empty where there is none, or nothing was tried."""
        return self.problem or self.cell.failure()

    def result(self) -> dict | None:
        """See Cell."""
        return self.cell and self.cell.result()


def places(
    protocol_id: str, budget_name: str, budget: Budget, rows: list[Row], inputs: list[Input], clip: bool, out: Path
) -> list[Place]:
    """The places of a table, row by row.

    Raises UserError: a row's config cannot be used.
    """
    out = out.absolute()
    found, trained = [], _pictures_of_runs(out)
    for row in rows:
        config = protocol_lib.resolved(row, budget_name, budget, clip)
        settings = None if config is None else config_lib.flatten(config)
        made = {"samples": row.samples, "settings": settings, "stride": row.stride, "files": _files(row.folder)}
        row_id = protocol_lib.digest(made)
        for one in inputs:
            if one.problem:
                found.append(Place(row, one, None, one.problem))
                continue
            folder = out / protocol_id / f"{_slug(row.title)}-{row_id}" / one.name
            run, frames_folder, own = None, None, ""
            frames = number_of_frames(one.frames, budget.strides, budget.frames) if row.stride else 0
            if config is not None:
                run_id = protocol_lib.digest([settings, row.stride, frames])
                own = row.budgets.get(budget_name, {}).get("config", row.config)
                run = out / "runs" / f"{_slug(_config_name(own))}-{run_id}" / one.name
            if row.stride:
                frames_folder = out / "frames" / f"{one.name}-{one.digest[:8]}-{frames}" / f"every_{row.stride}"
            cell = Cell(
                protocol=protocol_id,
                row=row,
                row_id=row_id,
                budget=budget,
                name=one.name,
                path=one.path,
                digest=one.digest,
                alone=len(inputs) == 1,
                folder=folder,
                config=None if config is None else dataclasses.asdict(config),
                config_name=_config_name(own),
                run=run,
                frames_folder=frames_folder,
                frames=frames,
            )
            found.append(Place(row, one, cell, _changed(cell, trained)))
    return found


def _pictures_of_runs(out: Path) -> dict[tuple[str, ...], set[str]]:
    """Run, by the last two parts of its path -> digests of the pictures of all cells that use it."""
    digests: dict[tuple[str, ...], set[str]] = {}
    for path in out.glob(f"*/*/*/{CELL}"):
        cell = _known(path.parent)
        if cell and cell.run:
            digests.setdefault(cell.run.parts[-2:], set()).add(cell.digest)
    return digests


def _changed(cell: Cell, trained: dict[tuple[str, ...], set[str]]) -> str:
    """Why the cell cannot be used where its folder, or the run of its model, is of another picture; else empty."""
    there = _known(cell.folder)
    if there and there.digest != cell.digest:
        return f"{cell.folder} holds the results of another picture of this name: use another --out"
    if cell.run and trained.get(cell.run.parts[-2:], set()) - {cell.digest}:
        return f"{cell.run} holds the model of another picture of this name: use another --out"
    return ""


def _files(folder: Path | None) -> list:
    """What tells that the files of a folder have changed."""
    if folder is None:
        return []
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [[str(path.relative_to(folder)), path.stat().st_size, path.stat().st_mtime_ns] for path in files]


def _config_name(given: str) -> str:
    path = Path(given)
    return path.stem if path.suffix in config_file.SUFFIXES else path.name


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "row"


def dump(value: dict) -> str:
    """JSON text for people."""
    return json.dumps(value, indent=1, allow_nan=False) + "\n"
