"""What a machine has and how fast it trains, asked in a process of its own: python -m siv_jax.experiments.probe

The process that hands out the work touches no device: on a GPU it would keep memory that the models need.
"""

import dataclasses
import json
import os
import subprocess
import sys
import time

from siv_jax import config as config_lib
from siv_jax.cli import process
from siv_jax.errors import UserError

_LONG_ENOUGH = 60.0  # seconds after which no further model is timed


@dataclasses.dataclass(frozen=True)
class Machine:
    """devices: that work side by side. seconds: of training each of the configs asked about, None: not measured."""

    backend: str
    devices: int
    seconds: list[float | None]

    def environment(self, slot: int) -> dict[str, str]:
        """What a process needs in its environment to see device number `slot` alone."""
        if self.backend != "gpu" or self.devices == 1:
            return {}
        seen = os.environ.get("CUDA_VISIBLE_DEVICES")
        return {"CUDA_VISIBLE_DEVICES": seen.split(",")[slot] if seen else str(slot)}


def ask(configs: list[dict], devices: int) -> Machine:
    """The machine, and how long training takes by each of `configs` (with their inputs).

    Args:
      devices: that are to be used; 0: all GPUs there are, and one of anything else.

    Raises UserError: there is no device, or there are fewer.
    """
    command = [sys.executable, "-m", "siv_jax.experiments.probe"]
    done = subprocess.run(command, input=json.dumps(configs), capture_output=True, text=True)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise UserError(f"this machine's devices cannot be asked: {said[-1].removeprefix('error: ')}")
    found = json.loads(done.stdout.splitlines()[-1])
    several = found["backend"] == "gpu"
    if several and devices > found["devices"]:
        raise UserError(f"--devices {devices} asks for more than the {found['devices']} GPUs there are")
    return Machine(found["backend"], devices or (found["devices"] if several else 1), found["seconds"])


def main(argv: list[str]) -> None:
    """Answers with one line of JSON, for a list of configs as JSON on the standard input."""
    configs = json.load(sys.stdin)
    process.prepare_jax()
    from siv_jax.train import devices

    used, end = devices.use(0), time.monotonic() + _LONG_ENOUGH
    seconds = [_seconds(config, used[:1]) if time.monotonic() < end else None for config in configs]
    print(json.dumps({"backend": used[0].platform, "devices": len(used), "seconds": seconds}))


def _seconds(values: dict, devices: list) -> float | None:
    from siv_jax.data import open_source
    from siv_jax.train import estimate, single

    try:
        config = config_lib.from_dict(values)
        return estimate.seconds(single.make_task(config, open_source(config.data), shards=1), devices)
    except UserError:  # said again when it is to be trained
        return None


if __name__ == "__main__":
    process.run(main)
