"""The paper's tables from one command: python -m siv_jax.tables --table 1 --data pictures/ --out runs/tables"""

import argparse
import functools
from pathlib import Path

from siv_jax.cli import process
from siv_jax.errors import UserError
from siv_jax.metrics import table


def main(argv: list[str]) -> int:
    """Runs the command; returns its exit code: 0, that of what failed first, or of the signal that ended it."""
    given = vars(_parse(argv))
    # Imported after the arguments are known to be good: a misspelt one is answered before JAX loads.
    from siv_jax import api

    return api.make_table(**given, say=functools.partial(print, flush=True))


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = process.Parser(
        prog="python -m siv_jax.tables",
        description="Trains and measures every model of a table on every picture or clip, and prints the table beside "
        "the paper's. The same command goes on where it was stopped, and several, on machines that share --out, "
        "share the work. Needs the metrics' weights: python -m siv_jax.weights fetch.",
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--table", dest="chosen", choices=tuple("123456"), help="of the paper: 1 pictures, 2 clips, ...")
    which.add_argument("--figure", dest="chosen", type=_figure, help="5: quality over the stride of frames")
    which.add_argument("--protocol", dest="chosen", type=Path, metavar="FILE.yaml", help="a protocol of your own")
    parser.add_argument("--data", type=Path, required=True, help="a picture or a clip, or a folder of them")
    parser.add_argument("--out", type=Path, required=True, help="folder for runs, samples, results and the table")
    parser.add_argument("--budget", default="paper", help="of the protocol: paper or cpu (paper)")
    parser.add_argument("--rows", type=_names, default=(), metavar="A,B", help="titles of the rows that are wanted")
    parser.add_argument("--only", type=_names, default=(), metavar="A,B", help="names of the pictures or clips wanted")
    parser.add_argument(
        "--samples",
        type=_folder,
        action="append",
        default=[],
        metavar="NAME=FOLDER",
        help="a further row: samples that somebody else made, in subfolders or files with the pictures' names",
    )
    parser.add_argument("--clips", action="store_true", help="--data holds clips (tables 3 to 6)")
    parser.add_argument(
        "--add",
        type=Path,
        action="append",
        default=[],
        metavar="FILE.json",
        help="the same table, made elsewhere: its rows that are not among --rows stand in this one, too",
    )
    parser.add_argument(
        "--devices", type=process.whole_number(0, 10**6), default=0, help="that work at once (all GPUs, one CPU)"
    )
    parser.add_argument("--format", dest="form", choices=tuple(table.FORMS), default="text", help="printed (text)")
    parser.add_argument("--no_sheets", dest="sheets", action="store_false", help="a page without any picture")
    parser.add_argument("--tables_only", action="store_true", help="print the table of what is there, and do nothing")
    parser.add_argument("--dry_run", action="store_true", help="say what would be done and how long, and do nothing")
    given = parser.parse_args(argv)
    given.samples = dict(given.samples)
    return given


def _figure(text: str) -> str:
    if text != "5":
        raise argparse.ArgumentTypeError(f"{text!r} is not 5")
    return f"figure_{text}"


def _names(text: str) -> tuple[str, ...]:
    return tuple(filter(None, map(str.strip, text.split(","))))


def _folder(text: str) -> tuple[str, Path]:
    name, equals, folder = text.partition("=")
    if not (name and equals and folder):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=FOLDER")
    if not process.expanded(folder).is_dir():
        raise UserError(f"--samples {text}: there is no such folder")
    return name, process.expanded(folder)


if __name__ == "__main__":
    process.run(main)
