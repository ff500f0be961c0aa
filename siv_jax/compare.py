"""Results side by side: python -m siv_jax.compare a/metrics.json b/metrics.json --format markdown"""

import argparse
from pathlib import Path

from siv_jax.cli import process as command_line
from siv_jax.errors import UserError


def main(argv: list[str]) -> None:
    """Runs the command."""
    given = _parse(argv)
    from siv_jax.metrics import record, table

    records = [record.read(path) for path in given.files]
    refuse_mixed(given.files, records)
    rows = table.rows_of(labels(given.files, records), [one["mean"] for one in records])
    write = {"text": table.text, "markdown": table.markdown, "latex": table.latex}[given.format]
    print("\n".join(write(rows)))
    if given.format == "text":
        print(f"\nprotocol {records[0]['protocol']['id']}; ± is half the 95% interval")
        if len({tuple(image["training_digest"] for image in one["images"]) for one in records}) > 1:
            print("note: these were measured against different training images")


def refuse_mixed(files: list[Path], records: list[dict]) -> None:
    """Checks that all records were made by one protocol.

    Raises:
      UserError: says in what the first odd one differs.
    """
    first = records[0]["protocol"]
    for path, one in zip(files[1:], records[1:], strict=True):
        protocol = one["protocol"]
        if protocol["id"] == first["id"]:
            continue
        odd = [key for key in sorted({*first, *protocol} - {"id"}) if first.get(key) != protocol.get(key)]
        listed = "; ".join(f"{key}: {_brief(first.get(key))} and {_brief(protocol.get(key))}" for key in odd)
        raise UserError(
            f"{files[0]} and {path} were made by different protocols and do not stand in one table: {listed or 'id'}"
        )


def labels(files: list[Path], records: list[dict]) -> list[str]:
    """The records' names, with their folder where two have the same."""
    names = [one["name"] for one in records]
    return [
        name if names.count(name) == 1 else f"{name} ({path.parent})" for name, path in zip(names, files, strict=True)
    ]


def _brief(value: object) -> str:
    """A list of equal items as one of them, times their number."""
    if isinstance(value, list) and value and all(item == value[0] for item in value):
        return f"{value[0]}" + (f" x {len(value)}" if len(value) > 1 else "")
    return str(value)


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = command_line.Parser(prog="python -m siv_jax.compare", description="Prints results as one table.")
    parser.add_argument("files", type=Path, nargs="+", metavar="metrics.json", help="as siv_jax.evaluate wrote them")
    parser.add_argument("--format", choices=("text", "markdown", "latex"), default="text", help="of the table (text)")
    return parser.parse_args(argv)


if __name__ == "__main__":
    command_line.run(main)
