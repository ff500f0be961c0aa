"""The training loop: runs side by side, each on devices of its own."""

from collections.abc import Callable, Iterator

import jax
from tqdm import tqdm

from siv_jax.train import processes
from siv_jax.train.run import Run
from siv_jax.train.stop_signal import StopSignal

Devices = list[jax.Device]


def train(
    groups: list[Devices], open_next: Callable[[Devices], Run | None], stop: StopSignal, bar: tqdm
) -> Iterator[Run]:
    """Gives each run back as it ends: saved after its last step or when `stop` was raised, or with its error.

    Args:
      groups: devices; each group trains one run at a time, all groups at once.
      open_next: gives the next run for a group, None when there is no more.
      bar: counts the steps of all runs.
    """
    running: dict[int, Run] = {}
    while True:
        for number, devices in enumerate(groups):
            if number not in running:
                run = open_next(devices)
                if run is not None:
                    running[number] = run
        if not running:
            return
        stopping = False  # as all processes of a job agreed; a signal may come to one of them at any time
        for number, run in list(running.items()):
            if not run.begun and stop.name is None:
                run.begin()
                bar.unpause()  # its estimate leaves out compilation
            before = run.arrived
            wish = stop.name or (processes.TIME_UP if run.time_is_up else None)
            count, stopped = processes.agree(run.steps_wanted(), wish)
            if stopped not in (None, processes.TIME_UP):
                stop.name, stopping = stopped, True
                break
            if stopped:
                run.end_for_time()
            else:
                run.advance(count)
            if run.ended:
                run.finish()
            bar.set_postfix_str(f"{run.name} {run.shown}".strip(), refresh=False)
            bar.update(run.arrived - before)
            if run.ended:
                yield running.pop(number)
        if stopping:
            for run in running.values():
                before = run.arrived
                run.finish()
                bar.update(run.arrived - before)
                yield run
            return
