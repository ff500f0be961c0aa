"""Lines of JSON files of benchmarks as Markdown tables, one a file: python benchmarks/table.py FILE ..."""

import json
import sys
from pathlib import Path

from tabulate import tabulate


def main() -> None:
    for path in map(Path, sys.argv[1:]):
        lines = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
        # Of several timings the median; lists and other groups do not fit a table. What never differs stands above it.
        rows = [{key: _shown(value) for key, value in line.items() if _shown(value) is not None} for line in lines]
        keys = list(dict.fromkeys(key for row in rows for key in row))
        common = {key: rows[0][key] for key in keys if len(rows) > 1 and len({row.get(key) for row in rows}) == 1}
        table = [{key: value for key, value in row.items() if key not in common} for row in rows]
        print(f"## {path.stem}\n")
        if common:
            print(", ".join(f"{key} {value}" for key, value in common.items()) + "\n")
        print(tabulate(table, headers="keys", tablefmt="github", floatfmt=".4g", missingval="-") + "\n")


def _shown(value: object) -> object:
    """What stands in a cell: a number or word itself, the median of timings, both sides of a size; else None."""
    if isinstance(value, dict):
        return value.get("median")
    if isinstance(value, list):
        return "x".join(map(str, value)) if len(value) == 2 else None
    return value


if __name__ == "__main__":
    main()
