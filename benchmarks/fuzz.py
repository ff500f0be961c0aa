"""Damages files of every kind that is read and looks how reading them ends: well, or in one clear line.

    python benchmarks/fuzz.py [--kinds inputs,masks,edits] [--count 100000] [--seconds 300] [--seed 0] [--out FILE]

The kinds (fuzz_kinds.py): inputs are pictures, clips, animations and arrays, uploads the same as dropped on the page,
edits pictures and masks of siv_jax.edit, protocols YAML files of tables, records metrics.json, workdirs files of a
trained run, weights archives of the original implementations of each family. Damage (fuzz_damage.py) is to the bytes
of a file, or to what an intact one holds. A reader may take SECONDS and MEGABYTES: a longer or larger one counts as an
other end, and so does any exception but the user's error. One JSON line a kind; the first other ends are shown. A
reader that crashes ends the whole command: FOLDER/last then names the file.
"""

import argparse
import contextlib
import io
import os
import resource
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

import numpy as np
from measure import emit

TESTS = Path(__file__).parent.parent / "tests"
sys.path += [str(TESTS), str(TESTS / "plugins")]

from fuzz_damage import damaged  # noqa: E402
from fuzz_kinds import KINDS  # noqa: E402

from siv_jax.cli import process  # noqa: E402
from siv_jax.errors import UserError  # noqa: E402

SECONDS, MEGABYTES = 20.0, 3000
SHOWN = 5  # other ends of each kind


def fuzz(name: str, folder: Path, count: int, end: float, seed: int) -> dict:
    (folder / "seeds").mkdir(parents=True)
    paths, read = KINDS[name](folder / "seeds")
    contents, rng = [path.read_bytes() for path in paths], np.random.default_rng([seed, list(KINDS).index(name)])
    found = {"count": 0, "loaded": 0, "refused": 0, "others": 0, "slowest": 0.0}
    while found["count"] < count and time.monotonic() < end:
        case = found["count"]
        which = case % len(paths)
        path = folder / f"case{paths[which].suffix}"
        path.write_bytes(damaged(rng, contents, which, path.suffix))
        (folder / "last").write_text(f"case {case}, from {paths[which].name}")
        began = time.monotonic()
        how, printed = _end_of(read, path)
        seconds = time.monotonic() - began
        how = "others" if seconds > SECONDS else how
        found["slowest"] = max(found["slowest"], round(seconds, 2))
        found["count"] += 1
        found[how] += 1
        if how == "others" and found["others"] <= SHOWN:
            kept = Path(tempfile.mkdtemp()) / path.name
            kept.write_bytes(path.read_bytes())
            print(f"{name}, case {case} from {paths[which].name}, kept as {kept}, {seconds:.1f} s:", file=sys.stderr)
            print(printed, file=sys.stderr, flush=True)
    return found


def _end_of(read, path: Path) -> tuple[str, str]:
    """(loaded, refused or others, what was printed) of reading a file."""
    printed = io.StringIO()
    try:
        with contextlib.redirect_stderr(printed), contextlib.redirect_stdout(printed):
            read(path)
        return "loaded", ""
    except (UserError, OSError) as error:
        said = str(error) if isinstance(error, UserError) else process.os_error_line(error)
        clear = "\n" not in said and len(said) < 1000 and "mistake of siv_jax" not in said
        clear = clear and isinstance(error, UserError)
        return "refused" if clear else "others", f"{said!r}\n{traceback.format_exc()[-1200:]}"
    except BaseException:
        return "others", printed.getvalue()[-500:] + traceback.format_exc()[-1500:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000, help="damaged files over all kinds")
    parser.add_argument("--seconds", type=float, default=10**6, help="at most, over all kinds")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="", help="file to append the lines to")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_DATA, (MEGABYTES * 10**6, MEGABYTES * 10**6))
    names, end = given.kinds.split(","), time.monotonic() + given.seconds
    for number, name in enumerate(names):
        share = time.monotonic() + (end - time.monotonic()) / (len(names) - number)
        with tempfile.TemporaryDirectory() as folder:
            found = fuzz(name, Path(folder) / name, given.count // len(names), share, given.seed)
        emit({"benchmark": "fuzz", "kind": name, "seed": given.seed} | found, given.out)


if __name__ == "__main__":
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    main()
