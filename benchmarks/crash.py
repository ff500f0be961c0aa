"""Disturbs commands again and again and looks whether what they leave in the end is what they leave undisturbed.

    python benchmarks/crash.py [--hazards kill,disk] [--cases toy,sample] [--seconds 300] [--out FILE]

A case (crash_cases.py) is a command on a small input: training of each family, and of a fleet, and what is done with
trained models. Hazards:

    kill        It is killed (-9) at random moments, half of the times while a checkpoint or a file is being written and
                half of the times together with the processes that it has started, and started again until it ends.
    disk        It writes to a disk that is too small, which must end it in one line with exit code 2, and is started
                again when there is space. Needs leave to mount a tmpfs.
    checkpoint  Of the newest checkpoint of a run that has ended a file is removed, cut or has a bit flipped; the same
                command must go on from the checkpoint before, and say so, where the damage touches the arrays.

In the end everything in the command's folder is compared bit for bit with an undisturbed run, apart from what the clock
says. Then all begins anew, until the case's share of the seconds is over. One JSON line a hazard and case:

    times: that it was disturbed; in_saves: of these, kills while something was written; noticed: of these, disks that
    were full and checkpoints that were left for the one before; finished: runs that came to their end; different: of
    these, other than undisturbed; failed: starts that ended in anything else.
"""

import argparse
import functools
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import emit

TESTS = Path(__file__).parent.parent / "tests"
sys.path += [str(TESTS), str(TESTS / "plugins")]
os.environ["PYTHONPATH"] = os.pathsep.join([str(TESTS.parent), str(TESTS / "plugins")])  # of what commands start

import crash_cases  # noqa: E402
from crash_run import Case, Child, digests, writing  # noqa: E402

from siv_jax.cli import process  # noqa: E402

_BEFORE_KILL = 0.02  # seconds at most between seeing a file being written and the kill
# What a full disk has a command say, or a table that has a hole for it.
_FULL = re.compile(r"(error: |hole .*: )no space left on the disk")
_STARTS = 6  # then a command is left alone, so that all come to their end


class Trial:
    """A case that is disturbed in `scratch`, and what came of it so far."""

    def __init__(self, case: Case, scratch: Path):
        self.case, self.scratch = case, scratch
        self.folder, self.reference = scratch / "run", scratch / "reference"
        self._undisturbed(self.reference)
        self.expected = digests(self.reference)

    @functools.cached_property
    def seconds(self) -> float:
        """Of an undisturbed run whose programs are compiled."""
        began = time.monotonic()
        self._undisturbed(self.scratch / "again")
        return time.monotonic() - began

    def _undisturbed(self, folder: Path) -> None:
        child = self.case.start(folder)
        if child.wait() != 0:
            raise SystemExit(f"the undisturbed run failed: {child.said()}")

    def begin(self, rng: random.Random) -> None:
        """Chance and counts of another hazard."""
        self.rng = rng
        self.found = dict.fromkeys(("times", "in_saves", "noticed", "finished", "different", "failed"), 0)

    def clear(self) -> None:
        """Nothing is left of the trial before."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.case.cold:
            shutil.rmtree(self.scratch / "compiled", ignore_errors=True)

    def count(self, child: Child, good: bool = True) -> None:
        """Compares what a command left that has ended; `good`: whether what it did before was as it should."""
        if child.wait() != 0 or not good or "Traceback" in child.said() or "Warning" in child.said():
            self.found["failed"] += 1
            print(f"failed with {child.wait()}: {child.said()[-2000:]}", file=sys.stderr)
            return
        self.found["finished"] += 1
        found = digests(self.folder)
        if found != self.expected:
            self.found["different"] += 1
            names = {name for name, _ in found.items() ^ self.expected.items()}
            kept = shutil.copytree(self.folder, tempfile.mkdtemp() + "/run")
            print(f"different: {sorted(names)} in a copy, {kept}", file=sys.stderr)


def kill(trial: Trial) -> None:
    trial.clear()
    for _ in range(_STARTS):
        child, in_save = _started_and_killed(trial)
        if child.ended() != -signal.SIGKILL:
            break
        trial.found["times"] += 1
        trial.found["in_saves"] += in_save
    else:
        child = trial.case.start(trial.folder)
    trial.count(child)


def _started_and_killed(trial: Trial) -> tuple[Child, bool]:
    """The child, which has ended, and whether it was killed while something was being written."""
    rng, seconds = trial.rng, trial.seconds
    child = trial.case.start(trial.folder)
    at_a_save, began, moment = rng.random() < 0.5, time.monotonic(), rng.uniform(0, 1.1 * seconds)
    while child.ended() is None:
        passed = time.monotonic() - began
        saves = at_a_save and passed > moment / 2 and writing(trial.folder)
        if saves or passed > (2 * seconds + 5 if at_a_save else moment):
            time.sleep(rng.uniform(0, _BEFORE_KILL))
            if child.ended() is None:
                child.kill(whole=rng.random() < 0.5 or trial.case.whole)
                return child, saves
        time.sleep(0.0005)
    return child, False


def disk(trial: Trial) -> None:
    """The folder is on a disk of less than what the command writes; then there is more."""
    needed = sum(path.stat().st_size for path in trial.reference.rglob("*"))
    trial.clear()
    trial.folder.mkdir()
    size = max(4096, int(trial.rng.uniform(0, 1.2) * needed))
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(trial.folder)]
    subprocess.run(mount, check=True)
    try:
        child = trial.case.start(trial.folder)
        code, said = child.wait(), child.said()
        full = code == 2 and any(map(_FULL.match, said.splitlines()))
        trial.found["times"], trial.found["noticed"] = trial.found["times"] + 1, trial.found["noticed"] + full
        if code and (not full or "Traceback" in said):
            trial.count(child, good=False)
            return
        subprocess.run(["mount", "-o", "remount,size=1g", str(trial.folder)], check=True)
        trial.count(trial.case.start(trial.folder))
    finally:
        subprocess.run(["umount", "--lazy", str(trial.folder)], check=True)


def checkpoint(trial: Trial) -> None:
    """Of a copy of the undisturbed run the newest checkpoint is damaged."""
    trial.clear()
    shutil.copytree(trial.reference, trial.folder)
    newest = max((int(path.name), path) for path in trial.folder.rglob("checkpoints/*") if path.name.isdecimal())[1]
    path = trial.rng.choice(sorted(path for path in newest.rglob("*") if path.is_file()))
    content = bytearray(path.read_bytes())
    how = trial.rng.choice(("removed", "cut", "flipped"))
    if how == "removed":
        path.unlink()
    elif how == "cut":
        path.write_bytes(content[: trial.rng.randrange(len(content))])
    else:
        content[trial.rng.randrange(len(content))] ^= 1 << trial.rng.randrange(8)
        path.write_bytes(content)
    child = trial.case.start(trial.folder)
    child.wait()
    trial.found["times"] += 1
    trial.found["noticed"] += "damaged" in child.said() and "the one before is used" in child.said()
    trial.count(child)


HAZARDS = {hazard.__name__: hazard for hazard in (kill, disk, checkpoint)}


def may_mount() -> bool:
    """Whether this process may mount a tmpfs."""
    with tempfile.TemporaryDirectory() as folder:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], capture_output=True).returncode == 0
        if mounted:
            subprocess.run(["umount", folder], check=True)
    return mounted


def measure(name: str, hazards: list[str], seconds: float, seed: int, out: str) -> None:
    """Disturbs one case by each of the hazards, with the same share of the seconds."""
    with tempfile.TemporaryDirectory() as scratch:
        began = time.monotonic()
        trial = Trial(crash_cases.make(name, Path(scratch)), Path(scratch))
        for number, hazard in enumerate(hazards, 1):
            trial.begin(random.Random(f"{seed} {hazard} {name}"))
            while not trial.found["times"] or time.monotonic() - began < seconds * number / len(hazards):
                HAZARDS[hazard](trial)
            emit({"benchmark": "crash", "hazard": hazard, "case": name} | trial.found, out)


def run() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hazards", default=",".join(HAZARDS))
    parser.add_argument("--cases", default=",".join(crash_cases.NAMES))
    parser.add_argument("--seconds", type=float, default=3000.0, help="of all together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="", help="file to append the lines to")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # disks are unmounted
    hazards = given.hazards.split(",")
    if "disk" in hazards and not may_mount():
        print("the hazard disk is left out: no tmpfs can be mounted here", file=sys.stderr)
        hazards.remove("disk")
    end, names = time.monotonic() + given.seconds, given.cases.split(",")
    for number, name in enumerate(names):
        chosen = [hazard for hazard in hazards if hazard != "checkpoint" or name in crash_cases.TRAINING]
        measure(name, chosen, (end - time.monotonic()) / (len(names) - number), given.seed, given.out)


if __name__ == "__main__":
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    os.environ.setdefault("SIV_JAX_CACHE", str(process.cache_folder()))
    run()
