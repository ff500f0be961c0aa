"""Rows of a table that were made elsewhere: from the JSON that the same command wrote there."""

from pathlib import Path

import pydantic

from siv_jax.errors import UserError, complaint
from siv_jax.experiments.cells import EXPERIMENT
from siv_jax.experiments.protocol import Row
from siv_jax.experiments.summary import Result
from siv_jax.metrics.record import Metric


class _Training(pydantic.BaseModel, extra="allow"):
    size: str
    steps: int
    seconds: float | None
    cpu_seconds: float | None
    peak_bytes: int | None


class _Input(pydantic.BaseModel, extra="allow"):
    """What a row's model of one picture gave; all but the first two stands under EXPERIMENT in metrics.json."""

    metrics: dict[str, Metric | None]
    measured_by: str
    row_id: str
    training: _Training | None
    drawing_seconds: float | None
    device: str
    config_name: str
    config: dict | None


class _Row(pydantic.BaseModel):
    title: str
    mean: dict[str, Metric | None]
    inputs: dict[str, _Input]
    holes: dict[str, str]
    waiting: list[str] = []


class _Table(pydantic.BaseModel):
    protocol: str
    rows: list[_Row]


def rows(path: Path, protocol: str, wanted: dict[str, Row], inputs: set[str]) -> list[Result]:
    """The rows in `path` that are among `wanted`, without the samples.

    Args:
      path: the JSON of a table, which output.write has written.
      protocol: its id must be this one.
      wanted: rows that the table does not make itself, by their titles.
      inputs: names of the pictures or clips, which must be the row's.

    Raises UserError: no such file, a file of another protocol or of other inputs, or one that has no row to add.
    """
    try:
        table = _Table.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UserError(f"--add {path} cannot be read: {error.strerror or error}") from None
    except pydantic.ValidationError as error:
        raise UserError(f"--add {path} is no table in JSON ({complaint(error)})") from None
    if table.protocol != protocol:
        raise UserError(f"--add {path}: made under the protocol {table.protocol}; this table's is {protocol}")
    found = [row for row in table.rows if row.title in wanted]
    if not found:
        raise UserError(
            f"--add {path} has no row but those that are made here or added already: pick others with --rows"
        )
    for row in found:
        there = {*row.inputs, *row.holes, *row.waiting}
        if there != inputs:
            raise UserError(
                f"--add {path}: the row {row.title} is of {', '.join(sorted(there))}, and this table of "
                f"{', '.join(sorted(inputs))}: use the same --data and --only"
            )
    return [_result(row, wanted[row.title]) for row in found]


def _result(made: _Row, row: Row) -> Result:
    values, found = made.model_dump(), {}
    for name, one in values["inputs"].items():
        metrics, measured_by = one.pop("metrics"), one.pop("measured_by")
        found[name] = {"images": [{"metrics": metrics}], "protocol": {"id": measured_by}, EXPERIMENT: one}
    return Result(row, found, {}, made.holes, made.waiting, {"mean": values["mean"]} if found else None)
