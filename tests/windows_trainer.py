"""The app's trainer as a process: python windows_trainer.py RUNS PHOTO CONFIG; says what it saw as JSON."""

import json
import sys
import time
from pathlib import Path

from siv_jax.errors import UserError
from siv_jax.web import runs, trainer
from siv_jax.workdir import layout


def main(folder: Path, photo: str, config: str) -> dict:
    """What came of a start, a second start, a stop and another go."""
    trainer.CHOICES[trainer.QUICK] = config
    folder.mkdir()
    run = trainer.start(folder, [photo], trainer.QUICK)
    first = trainer.current(folder)
    workdir = folder / run
    wait_until(lambda: layout.completed_steps(workdir) > 0, folder, run)
    states = [runs.status(folder, run).state]
    try:
        trainer.start(folder, [photo], trainer.QUICK)
        refusal = ""
    except UserError as error:
        refusal = str(error)
    trainer.stop(folder)
    wait_until(lambda: trainer.current(folder) is None, folder, run)
    states.append(runs.status(folder, run).state)
    steps = [layout.completed_steps(workdir)]
    trainer.resume(folder, run)
    second = trainer.current(folder)
    wait_until(lambda: layout.completed_steps(workdir) > steps[0], folder, run)
    trainer.stop(folder)
    wait_until(lambda: trainer.current(folder) is None, folder, run)
    steps.append(layout.completed_steps(workdir))
    return {"runs": runs.names(folder), "pids": [first.pid, second.pid], "states": states, "refusal": refusal} | {
        "steps": steps,
        "said": trainer.said(folder, run, 100),
    }


def wait_until(true, folder: Path, run: str) -> None:
    deadline = time.monotonic() + 240
    while not true():
        assert time.monotonic() < deadline, trainer.said(folder, run)
        time.sleep(0.05)


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), *sys.argv[2:])))
