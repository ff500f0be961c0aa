"""Kills commands again and again (kill -9) and looks whether what they leave in the end is what they leave undisturbed.

    python benchmarks/crash.py --kills 1000 [--cases toy,siv_gan,fleet,sample,render] [--seconds 3000] [--out FILE]

A case is a command on a small input. It is started and killed at a random moment, half of the times while a checkpoint
or a file is being written, and started again, until it comes to its end; then everything in its folder is compared bit
for bit with an undisturbed run, apart from what the clock says. Then all begins anew. Kills that FILE already counts
are not done again, so that many can be done in pieces; --seconds ends a piece. One JSON line a case and piece:

    kills, of these in_saves; finished: runs that came to their end; different: of these, other than undisturbed;
    failed: starts that ended with an error.

Children are forked from a process that has imported everything, so that a start takes a second.
"""

import argparse
import contextlib
import functools
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from measure import emit

TESTS = Path(__file__).parent.parent / "tests"
sys.path += [str(TESTS), str(TESTS / "plugins")]

import tiny  # noqa: E402
import toy_runs  # noqa: E402
from PIL import Image  # noqa: E402

from siv_jax import api, main, render, sample  # noqa: E402, F401
from siv_jax.cli import process  # noqa: E402

_KEPT = {".lock", ".samples.json"}  # hidden files that are not being written
_BEFORE_KILL = 0.02  # seconds at most between seeing a file being written and the kill
_LONGEST = 300.0  # seconds after which a start is said to hang


class Case:
    """A command: `make` gives its arguments for a folder, after making what it needs; `main` runs them."""

    def __init__(self, run: Callable[[list[str]], int | None], make: Callable[[Path], list[str]], scratch: Path):
        self._run, self.make = run, make
        self.expected, began = None, time.monotonic()
        reference = scratch / "reference"
        if self.start(make(reference), reference).wait() != 0:
            raise SystemExit(f"the undisturbed run in {reference} failed: see its output.txt")
        self.seconds, self.expected = time.monotonic() - began, digests(reference)

    def start(self, arguments: list[str], folder: Path) -> "Child":
        return Child(functools.partial(self._run, arguments), folder.parent / "output.txt")


class Child:
    """A forked process that runs a command."""

    def __init__(self, run: Callable[[], int | None], output: Path):
        self.pid, self._status = os.fork(), None
        if self.pid:
            return
        file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, 1), os.dup2(file, 2)
        code = 1
        with contextlib.suppress(BaseException):
            try:
                code = run() or 0
            except SystemExit as leaving:
                code = int(leaving.code or 0)
            except BaseException as error:
                print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        os._exit(code)

    def ended(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._status = os.waitstatus_to_exitcode(status) if pid else None
        return self._status

    def wait(self) -> int:
        end = time.monotonic() + _LONGEST
        while self.ended() is None and time.monotonic() < end:
            time.sleep(0.005)
        if self._status is None:
            self.kill()
        return self._status

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        self._status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def contents(folder: Path) -> dict[str, str]:
    """A digest of everything that must be the same in the end, by name."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        parts = set(path.relative_to(folder).parts)
        # Pages and events tell the time; Orbax's files are compared by the arrays in them.
        skipped = parts & {"checkpoints", "tensorboard"} or path.suffix in (".html", ".lock") or name == "summary.json"
        if path.is_file() and not skipped and path.name != "training.png":
            data = path.read_bytes()
            if path.name == "scalars.jsonl":
                data = json.dumps(toy_runs.logged(path.parent)).encode()
            found[name] = hashlib.sha256(data).hexdigest()
        if path.name == "checkpoints":
            arrays = b"".join(np.asarray(leaf).tobytes() for leaf in toy_runs.arrays(path.parent))
            found[f"{name}: {toy_runs.steps_in(path.parent)}"] = hashlib.sha256(arrays).hexdigest()
    return found


def digests(folder: Path) -> dict[str, str]:
    """`contents`, found by a child: reading checkpoints starts JAX, after which forking is not safe."""
    found = folder.parent / "digests.json"
    child = Child(lambda: found.write_text(json.dumps(contents(folder))) * 0, folder.parent / "output.txt")
    if child.wait() != 0:
        raise SystemExit(f"{folder} cannot be read: {(folder.parent / 'output.txt').read_text()[-500:]}")
    return json.loads(found.read_text())


def writing(folder: Path) -> bool:
    """Whether a checkpoint or a file is being written there."""
    try:
        names = [path.name for path in folder.rglob("*")]
        return any("checkpoint-tmp" in name or (name.startswith(".") and name not in _KEPT) for name in names)
    except OSError:  # what was there a moment ago is gone
        return False


def one_start(case: Case, arguments: list[str], folder: Path, rng: random.Random) -> tuple[int, bool]:
    """(exit code, whether it was killed while something was being written); the code is -9 when killed."""
    at_a_save, child = rng.random() < 0.5, case.start(arguments, folder)
    began, moment = time.monotonic(), rng.uniform(0, 1.1 * case.seconds)
    while child.ended() is None:
        passed = time.monotonic() - began
        saves = at_a_save and passed > moment / 2 and writing(folder)
        if saves or passed > (2 * case.seconds + 5 if at_a_save else moment):
            time.sleep(rng.uniform(0, _BEFORE_KILL))
            if child.ended() is None:
                child.kill()
                return -signal.SIGKILL, saves
        time.sleep(0.0005)
    return child.ended(), False


def measure(case: Case, scratch: Path, kills: int, end: float, rng: random.Random) -> dict[str, int]:
    count = dict.fromkeys(("kills", "in_saves", "finished", "different", "failed"), 0)
    folder = scratch / "run"
    while count["kills"] < kills and time.monotonic() < end:
        shutil.rmtree(folder, ignore_errors=True)
        arguments = case.make(folder)
        for _ in range(30):  # then it is left alone, so that all come to their end
            code, in_save = one_start(case, arguments, folder, rng)
            if code != -signal.SIGKILL:
                break
            count["kills"], count["in_saves"] = count["kills"] + 1, count["in_saves"] + in_save
        else:
            code = case.start(arguments, folder).wait()
        if code != 0:
            count["failed"] += 1
            print(f"failed with {code}: {(scratch / 'output.txt').read_text()[-2000:]}", file=sys.stderr)
            continue
        count["finished"] += 1
        found = digests(folder)
        if found != case.expected:
            count["different"] += 1
            names = {name for name, _ in found.items() ^ case.expected.items()}
            print(f"different: {sorted(names)} in a copy, {shutil.copytree(folder, tempfile.mkdtemp() + '/run')}")
    return count


def make_case(name: str, scratch: Path) -> Case:
    if name == "toy":
        return Case(main.main, lambda folder: toy_runs.arguments(folder, scratch / "toy.py"), scratch)
    if name == "siv_gan":
        return Case(main.main, lambda folder: tiny.arguments(folder), scratch)
    if name == "fleet":
        pictures = scratch / "pictures"
        pictures.mkdir()
        for i in range(3):
            noise = np.random.default_rng(i).integers(0, 256, (48, 64, 3), np.uint8)
            Image.fromarray(noise).save(pictures / f"{i}.png")

        def arguments(folder: Path) -> list[str]:
            own = [f"--config.data.path={pictures}", "--config.fleet.enabled=True"]
            return [*toy_runs.arguments(folder, scratch / "toy.py"), *own]

        return Case(main.main, arguments, scratch)
    if name in ("sample", "render"):
        trained = scratch / "trained"
        if Child(lambda: main.main(toy_runs.arguments(trained, scratch / "toy.py")), scratch / "output.txt").wait():
            raise SystemExit("the model to draw from was not trained")
        command = {"sample": sample, "render": render}[name]
        more = ["--num", "200"] if name == "sample" else ["--num", "12", "--size", "64x48"]
        return Case(command.main, lambda folder: ["--workdir", str(trained), "--out", str(folder), *more], scratch)
    raise SystemExit(f"there is no case {name}")


def run() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=1000, help="over all cases, with those that FILE counts")
    parser.add_argument("--cases", default="toy,siv_gan,fleet,sample,render")
    parser.add_argument("--seconds", type=float, default=3000.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="", help="file to append the lines to")
    given = parser.parse_args()
    end, names = time.monotonic() + given.seconds, given.cases.split(",")
    before = Path(given.out).read_text().splitlines() if given.out and Path(given.out).exists() else []
    for number, name in enumerate(names):
        done = sum(line["kills"] for line in map(json.loads, before) if line["case"] == name)
        wanted = given.kills // len(names) - done
        share = time.monotonic() + (end - time.monotonic()) / (len(names) - number)
        if wanted <= 0:
            continue
        with tempfile.TemporaryDirectory() as scratch:
            case = make_case(name, Path(scratch))
            rng = random.Random(f"{given.seed} {name} {done}")
            found = measure(case, Path(scratch), wanted, share, rng)
        emit({"benchmark": "crash", "case": name, "seconds": round(case.seconds, 1)} | found, given.out)


if __name__ == "__main__":
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    os.environ.setdefault("SIV_JAX_CACHE", str(process.cache_folder()))
    run()
