"""Trains and evaluates the paper's ablations on one picture or clip, one after another, and prints its tables
with ours beside them.

    python launch/ablations.py --out runs/ablations -- --config.data.path photo.jpg
    python launch/ablations.py --out runs/ablations --rows table5,no_fa -- --config.data.path clip.mp4 \\
        --config.num_steps 300000

Needs: siv_jax installed, and the metrics' weights (python -m siv_jax.weights fetch).

Expect: a workdir for each ablation in --out, with its evaluation, and an index.html of all of them. The same
command goes on where it was stopped: runs that have finished are not trained again. One that fails or diverges
does not hold up the others; its row stays empty, and the exit code is that of the first of them. Ctrl-C and
SIGTERM save the run in training and end the sweep (130, 143). --tables_only trains nothing and prints what is
there. The arguments after -- are those of python -m siv_jax.main, all but --config and --workdir.
"""

import argparse
import signal
import subprocess
import sys
from pathlib import Path

from siv_jax.cli import command_text, process
from siv_jax.errors import UserError
from siv_jax.metrics import network_weights, published, record, table
from siv_jax.report import fleet_page

STOPPED = tuple(process.STOPPED_BY.values())


def main(argv: list[str]) -> int:
    """Runs the sweep; returns the exit code."""
    given = _parse(argv)
    names = chosen(given.rows)
    code = 0
    if not given.tables_only:
        if not given.dry_run:
            network_weights.require(["alex", "inception"])
        for number, name in enumerate(names, start=1):
            print(f"ablation {number} of {len(names)}: {name}", flush=True)
            failed = _train_and_evaluate(name, given)
            if failed in STOPPED:
                return failed
            code = code or failed
    if given.dry_run:
        return 0
    print("\n".join(tables(given.out, names, given.format)))
    return code


def chosen(rows: list[str]) -> list[str]:
    """Names of the ablations that `rows`, of names and "table3" to "table6", ask for; all for none.

    Raises:
      UserError: there is no such row.
    """
    by_table = {f"table{one.number}": [row[1] for row in one.rows] for one in published.ABLATIONS}
    known = dict.fromkeys(name for names in by_table.values() for name in names)
    wanted = []
    for row in rows or list(by_table):
        if row not in by_table and row not in known:
            raise UserError(f"--rows: there is no {row}; it can be {', '.join([*by_table, *known])}")
        wanted += by_table.get(row, [row])
    return list(dict.fromkeys(wanted))


def tables(out: Path, names: list[str], form: str) -> list[str]:
    """Lines of the paper's tables in which any of `names` stands, for what --out holds.

    Raises:
      UserError: nothing has been evaluated there, or not all of it by one protocol, as after another --num.
    """
    files = {name: out / name / "evaluation" / record.FILE for name in names}
    records = {name: record.read(file) for name, file in files.items() if file.exists()}
    if not records:
        raise UserError(f"{out} holds no evaluation of an ablation: run this without --tables_only first")
    record.refuse_mixed({files[name]: found for name, found in records.items()})
    video = any(image["training_images"] > 1 for one in records.values() for image in one["images"])
    lines = []
    for one in published.ABLATIONS:
        if one.keys[video] and any(row[1] in records for row in one.rows):
            lines += ["", *table.lines(published.beside_ours(one, records, video), form)]
    return [*lines, "", published.CAVEAT + (f" {published.VIDEO_CAVEAT}" if video else "")]


def _train_and_evaluate(name: str, given: argparse.Namespace) -> int:
    """The exit code of what failed, or 0."""
    folder = given.out / name
    train = ["siv_jax.main", "--config", f"ablations:{name}", *given.arguments, "--workdir", str(folder)]
    measure = ["siv_jax.evaluate", "--workdir", str(folder), "--num", str(given.num)]
    if given.dry_run:
        print("\n".join(command_text.shell(*command) for command in (train, measure)))
        return 0
    for command in (train, measure):
        code = _run([sys.executable, "-m", *command])
        if code:
            print(f"{name}: {command[0]} ended with exit code {code}", file=sys.stderr, flush=True)
            return code
        fleet_page.write(given.out)
    return 0


def _run(command: list[str]) -> int:
    """Exit code of a command, which gets the signals that come here once each and is waited for."""
    child = subprocess.Popen(command, start_new_session=True)
    previous = {
        number: signal.signal(number, lambda number, _: child.send_signal(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        code = child.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    return code if code >= 0 else 128 - code


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = process.Parser(usage="%(prog)s --out DIR [options] -- ARGUMENTS OF siv_jax.main")
    parser.add_argument("--out", type=Path, required=True, help="folder of the ablations' workdirs")
    parser.add_argument("--rows", default="", help="comma-separated: table3 to table6, or names; all if not given")
    parser.add_argument("--num", type=process.whole_number(2, 10_000), default=100, help="samples of each (100)")
    parser.add_argument("--format", choices=tuple(table.FORMS), default="text", help="of the tables (text)")
    parser.add_argument("--tables_only", action="store_true", help="print the tables of what is there")
    parser.add_argument("--dry_run", action="store_true", help="print the commands and run none")
    cut = argv.index("--") if "--" in argv else len(argv)
    given = parser.parse_args(argv[:cut])
    given.rows = [row for row in given.rows.split(",") if row]
    given.arguments = argv[cut + 1 :]
    for word in given.arguments:
        if word.split("=")[0] in ("--config", "--workdir"):
            raise UserError(f"{word} after --: each ablation has its own; give settings as --config.KEY VALUE")
    return given


if __name__ == "__main__":
    process.run(main)
