"""Lines of JSON files of benchmarks as Markdown tables, one a file: python benchmarks/table.py FILE ..."""

import json
import sys
from pathlib import Path

from tabulate import tabulate

# A group of at most so many values becomes columns.
_SMALL = 12


def main() -> None:
    for path in map(Path, sys.argv[1:]):
        lines = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
        rows = [_cells(line) for line in lines]
        keys = list(dict.fromkeys(key for row in rows for key in row))
        # What never differs stands above the table.
        common = {key: rows[0][key] for key in keys if len(rows) > 1 and len({row.get(key) for row in rows}) == 1}
        table = [{key: value for key, value in row.items() if key not in common} for row in rows]
        print(f"## {path.stem}\n")
        if common:
            print(", ".join(f"{key} {value}" for key, value in common.items()) + "\n")
        print(tabulate(table, headers="keys", tablefmt="github", floatfmt=".4g", missingval="-") + "\n")


def _cells(line: dict) -> dict:
    """The cells of a line by their columns: of several timings the median, of a small group each value by itself.

    Longer lists, larger groups and groups in groups do not fit a table.
    """
    cells = {}
    for key, value in line.items():
        if not isinstance(value, dict):
            cells[key] = _shown(value)
        elif "median" in value:
            cells[key] = value["median"]
        elif len(value) <= _SMALL:
            cells |= {f"{key} {name}": _shown(one) for name, one in value.items() if not isinstance(one, dict)}
    return {key: value for key, value in cells.items() if value is not None}


def _shown(value: object) -> object:
    """What stands in a cell: a number or word itself, both sides of a size; else None."""
    if isinstance(value, list):
        return "x".join(map(str, value)) if len(value) == 2 else None
    return value


if __name__ == "__main__":
    main()
