"""What a table is asked to be: its protocol, budget, rows and inputs, and where each cell stands."""

from pathlib import Path

import pydantic

from siv_jax.data.decoding import one_line
from siv_jax.errors import UserError
from siv_jax.experiments import added, summary
from siv_jax.experiments import cells as cells_lib
from siv_jax.experiments import inputs as inputs_lib
from siv_jax.experiments import protocol as protocol_lib
from siv_jax.experiments.cells import Cell, Place
from siv_jax.experiments.protocol import Protocol, Row
from siv_jax.experiments.summary import Result
from siv_jax.metrics import published


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
        add: tuple[Path, ...] = (),
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
        others = _picked(self.protocol.rows, usual)
        if samples and self.budget.strides:
            raise UserError(f"--samples does not go with {self.protocol.title!r}, whose rows are models at strides")
        for title, folder in (samples or {}).items():
            if not folder.is_dir():
                raise UserError(f"--samples {title}={folder}: there is no such folder")
            if any(row.title == title for row in picked):
                raise UserError(f"--samples {title}: the table has a row of this name")
            picked.append(_of_samples(title, folder))
        if self.budget.strides:
            picked, others = (self._of_strides(some) for some in (picked, others))
        self.inputs = inputs_lib.find(data, self.clip, only)
        self.places: list[Place] = cells_lib.places(self.id, budget, self.budget, picked, self.inputs, self.clip, out)
        self._order = list(dict.fromkeys(row.title for row in (*others, *picked)))
        self._added = self._elsewhere(add, {row.title: row for row in others if row not in picked})

    def _elsewhere(self, files: tuple[Path, ...], missing: dict[str, Row]) -> list[Result]:
        found: list[Result] = []
        for path in files:
            found += added.rows(path, self.id, missing, {one.name for one in self.inputs})
            missing = {title: row for title, row in missing.items() if title not in {one.row.title for one in found}}
        return found

    def _of_strides(self, rows: list[Row]) -> list[Row]:
        trained = [row for row in rows if row.config is not None]
        return [summary.stride_row(row, stride) for row in trained for stride in self.budget.strides]

    def waiting(self) -> list[Cell]:
        """Cells that are not done, also those that failed when they were tried last."""
        return [one.cell for one in self.places if one.cell and not one.problem and one.cell.result() is None]

    def results(self) -> list[Result]:
        """The rows as they are now, in the protocol's order."""
        found = [*summary.of(self.places), *self._added]
        return sorted(found, key=lambda result: self._order.index(result.row.title))

    def tables(self, results: list[Result]) -> list[list[list[str]]]:
        """See summary.tables."""
        title = f"Table {self.number}" if self.number else self.protocol.title
        return summary.tables(title, self.number, results, self.clip)


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


def _of_samples(title: str, folder: Path) -> Row:
    """The row of samples that somebody else made. Raises UserError: no title for a row."""
    try:
        return Row(title=title, samples="folder", folder=folder.absolute())
    except pydantic.ValidationError:
        raise UserError(
            f"--samples {one_line(title, 60)}: the name of a row is one line of at most {protocol_lib.LONGEST_NAME} "
            "characters"
        ) from None


def _picked(rows: list[Row], titles: tuple[str, ...]) -> list[Row]:
    known = {row.title: row for row in rows}
    unknown = next((title for title in titles if title not in known), None)
    if unknown is not None:
        raise UserError(f"--rows: there is no {unknown}; it can be {', '.join(known)}")
    return [known[title] for title in titles or known]
