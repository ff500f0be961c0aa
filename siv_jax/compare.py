"""Results side by side: python -m siv_jax.compare a/metrics.json b/metrics.json --format markdown"""

import argparse
from pathlib import Path

from siv_jax.cli import process
from siv_jax.metrics import table


def main(argv: list[str]) -> None:
    """Runs the command."""
    given = _parse(argv)
    from siv_jax.metrics import record

    records = [record.read(path) for path in given.files]
    record.refuse_mixed(dict(zip(given.files, records, strict=True)))
    rows = table.rows_of(labels(given.files, records), [one["mean"] for one in records])
    print("\n".join(table.lines(rows, given.format)))
    if given.format == "text":
        print(f"\nprotocol {records[0]['protocol']['id']}; ± is half the 95% interval")
        if len({tuple(image["training_digest"] for image in one["images"]) for one in records}) > 1:
            print("note: these were measured against different training images")


def labels(files: list[Path], records: list[dict]) -> list[str]:
    """The records' names, with their folder where two have the same."""
    names = [one["name"] for one in records]
    named = zip(names, files, strict=True)
    return [name if names.count(name) == 1 else f"{name} ({path.parent})" for name, path in named]


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = process.Parser(prog="python -m siv_jax.compare", description="Prints results as one table.")
    parser.add_argument("files", type=Path, nargs="+", metavar="metrics.json", help="as siv_jax.evaluate wrote them")
    parser.add_argument("--format", choices=tuple(table.FORMS), default="text", help="of the table (text)")
    return parser.parse_args(argv)


if __name__ == "__main__":
    process.run(main)
