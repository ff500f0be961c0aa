"""Does one cell in a process of its own: python -m siv_jax.experiments.worker CELL_FOLDER

It trains the model, or goes on with it, draws its samples and measures them. A process of its own because its peak of
memory is then the model's own, and because whatever becomes of it, the others go on.
"""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import filelock
import numpy as np

from siv_jax import config as config_lib
from siv_jax.cli import process
from siv_jax.config import Config, DataConfig
from siv_jax.data import Source, open_source
from siv_jax.data.notes import Notes
from siv_jax.data.resize import limited
from siv_jax.experiments import cells, inputs
from siv_jax.experiments.cells import Cell
from siv_jax.metrics import cases, evaluation, measure, sample_folders
from siv_jax.metrics.cases import Case, Size
from siv_jax.sampling import pictures, rendering
from siv_jax.sampling.trained_model import TrainedModel
from siv_jax.train import devices, single
from siv_jax.workdir import layout, logs

_USAGE = "usage.json"  # in the workdir of a run: what training took so far
_ON_SHEET, _SIDE = 8, 160  # pictures on a sheet, and their longer sides in pixels


def main(argv: list[str]) -> int:
    """Runs the command; returns its exit code: 0, cells.BUSY, or that of the signal that ended it after saving."""
    threading.Thread(target=_stop_when_alone, daemon=True).start()
    return work(Path(argv[0]))


def work(folder: Path) -> int:
    """Does the cell in `folder`, unless it is done; the exit code.

    Raises: UserError, DivergedError: see siv_jax.train.single.train and siv_jax.evaluate.
    """
    cell = cells.read(folder)
    claim = cell.claim()
    try:
        claim.acquire()
    except filelock.Timeout:
        return cells.BUSY
    try:
        if cell.result() is not None:
            return 0
        process.prepare_jax()
        config = _config(cell)
        source = open_source(config.data)
        size = limited(source.size, cell.budget.size)
        cases.check_size(cell.name, size)
        stopped = cell.run and _train(cell, config)
        if stopped:
            return process.STOPPED_BY[stopped]
        _measure(cell, source, size)
        return 0
    finally:
        claim.release()


def _config(cell: Cell) -> Config:
    """Of the run, with its input."""
    path = cell.path
    if cell.frames_folder is not None:
        path = inputs.every_nth(cell.path, cell.row.stride, cell.frames, cell.frames_folder)
    if cell.config is None:
        return Config(data=DataConfig(path=str(path)))
    return config_lib.with_overrides(config_lib.from_dict(cell.config), {"data.path": str(path)})


def _train(cell: Cell, config: Config) -> str | None:
    """Trains the model until its last step; the name of the signal that stopped it."""
    if cell.cost() is not None:
        return None
    file, begun = cell.run / _USAGE, time.process_time()
    before = cells.read_costs(file) or {"peak_bytes": 0, "cpu_seconds": 0.0}
    usage = {"peak_bytes": None, "cpu_seconds": None}

    def note(_: int) -> None:
        # At every grid of samples: what a process that is killed has used counts, too.
        usage["peak_bytes"] = max(before["peak_bytes"], devices.peak_memory())
        usage["cpu_seconds"] = round(before["cpu_seconds"] + time.process_time() - begun, 1)
        layout.write_text(file, cells.dump(usage))

    if stopped := single.train(config, cell.run, 1, False, print, note):
        note(0)
        return stopped
    record = layout.load_record(cell.run)
    cost = {
        "size": f"{record.plan.width}x{record.plan.height}",
        "steps": record.num_steps,
        "seconds": round(logs.seconds_trained(logs.entries(cell.run)), 2),
        **(cells.read_costs(file) or usage),
    }
    layout.write_text(cell.run / cells.COST, cells.dump(cost))
    return None


def _measure(cell: Cell, source: Source, size: Size) -> None:
    """Draws samples of `size` and writes what is measured of them, the sheet of samples and the training image."""
    begun = time.monotonic()
    case = _published(cell, size) if cell.row.samples == "folder" else _drawn(cell, source, size)
    seconds = time.monotonic() - begun
    experiment = {
        "protocol": cell.protocol,
        "row": cell.row.title,
        "row_id": cell.row_id,
        "budget": cell.budget.model_dump(),
        "config_name": cell.config_name,
        "config": cell.config,
        "device": devices.kind(),
        "training": cell.cost(),
        "drawing_seconds": None if cell.row.samples == "folder" else round(seconds / len(case.fakes), 3),
    }
    _sheet(cell.folder / cells.TRAINING, case.reals[:1], 2 * _SIDE)
    _sheet(cell.folder / cells.SHEET, case.fakes[:_ON_SHEET], _SIDE)
    networks = measure.load_networks(cell.budget.lpips)
    evaluation.measure_all([lambda: case], cell.row.title, networks, cell.folder, print, {cells.EXPERIMENT: experiment})


def _drawn(cell: Cell, source: Source, size: Size) -> Case:
    """The samples at the size at which all rows are measured, kept as PNG files."""
    count, seed, notes = cell.budget.samples, cell.budget.seed, Notes()
    text = f"{size[1]}x{size[0]}"
    if cell.row.samples == "noise":
        made = [one.images for one in rendering.of_noise(source, seed, count, rendering.Rendering(size))]
    elif cell.row.samples == "rendered":
        made = [one.images for one in TrainedModel(cell.run).rendered(count, seed, text)]
    else:
        model = TrainedModel(cell.run)
        made = [batch.images for batch in model.sampled(count, seed)]
    drawn = cases.as_rgb(np.concatenate(made))
    if drawn.shape[1:3] != size:
        notes.add(cell.name, f"samples are brought from {cases.shown(drawn.shape[1:3])} to {cases.shown(size)}")
    fakes = cases.brought_to(drawn, size)
    names = tuple(f"sample_{i:05d}" for i in range(count))
    (cell.folder / cells.SAMPLES).mkdir(exist_ok=True)
    for name, fake in zip(names, fakes, strict=True):
        pictures.save_png(cell.folder / cells.SAMPLES / f"{name}.png", fake)
    where = {"row": cell.row.title, "samples": cell.row.samples, "seed": seed, "real": source.name}
    return cases.make_case(cell.name, fakes, names, source, where, notes)


def _published(cell: Cell, size: Size) -> Case:
    wanted = cell.budget.samples
    load = sample_folders.of_picture(cell.path, cell.row.folder, cell.name, size, wanted, cell.alone)
    case = load()
    if len(case.fakes) == wanted:
        return case
    return case._replace(notes=(*case.notes, f"{cell.name}: {len(case.fakes)} samples, the other rows have {wanted}"))


def _sheet(path: Path, images: np.ndarray, side: int) -> None:
    """Writes uint8 images [N, H, W, 3] side by side as one small JPEG, `side` pixels each at most."""
    from PIL import Image

    height, width = limited(images.shape[1:3], side)
    sheet = Image.fromarray(pictures.grid(cases.brought_to(images, (height, width))))
    layout.write_atomically(path, lambda file: sheet.save(file, format="JPEG", quality=88))


def _stop_when_alone() -> None:
    """Ends training, which saves, when the process that started this one is gone: its end of stdin is closed then."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    signal.raise_signal(signal.SIGTERM)


if __name__ == "__main__":
    process.run(main)
