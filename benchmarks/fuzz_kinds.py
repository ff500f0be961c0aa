"""The kinds of files that fuzz.py damages: some intact ones, and how each is read by what reads it in use."""

import itertools
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import toy_runs
import toy_tables
import yaml
from PIL import Image
from test_compare import write
from test_data_fuzz import seeds

from siv_jax import api, compare
from siv_jax import config as config_lib
from siv_jax.cli import config_file
from siv_jax.config import DataConfig
from siv_jax.data import open_source
from siv_jax.data.mask_file import read_masks, training_masks, with_classes
from siv_jax.experiments.asked import Table
from siv_jax.report.run_page import RunPage
from siv_jax.web import trainer
from siv_jax.web.favourites import FILE, FOLDER, Favourites
from siv_jax.workdir import imported, layout

Kind = tuple[list[Path], Callable[[Path], object]]


def inputs(folder: Path) -> Kind:
    def read(path: Path) -> None:
        source = open_source(DataConfig(path=str(path), max_frames=3))
        assert np.isfinite(source.resized(48, 64)).all()

    return seeds(folder), read


def masks(folder: Path) -> Kind:
    """As rendering reads them, and as training does, with and without stated classes."""
    source = open_source(DataConfig(path="example:balloons"))
    labels = (np.arange(source.size[0] * source.size[1]).reshape(source.size) // 5000 % 7).astype(np.uint8)
    gray, palette = Image.fromarray(labels), Image.fromarray(labels).convert("P")
    gray.save(folder / "gray.png")
    Image.fromarray((labels > 3).astype(np.uint8) * 255).save(folder / "object.png")
    palette.save(folder / "palette.png")
    palette.save(folder / "palette.gif")
    np.save(folder / "labels.npy", labels)
    classes = itertools.cycle((0, 0, 0, 0, 0, 7, 2, 4, 255))

    def read(path: Path) -> None:
        found = read_masks(path, source)
        data = DataConfig(path="example:balloons", mask=str(path), mask_classes=next(classes))
        trained = training_masks(data, source)
        assert trained.format.labels(trained.values).shape == (1, *source.size)
        with_classes(found)

    return sorted(folder.iterdir()), read


def latents(folder: Path) -> Kind:
    """As siv_jax.sample and siv_jax.app read them."""
    run, rng = _toy(folder), np.random.default_rng(0)
    model, z = api.load(run), rng.normal(size=(5, 2)).astype(np.float32)
    np.save(folder / "single.npy", z)
    np.save(folder / "double.npy", z.astype(np.float64))
    np.savez(folder / "favourites.npz", names=np.array(list("abcde")), latents=z, steps=np.arange(5))

    def read(path: Path) -> None:
        (run / FOLDER).mkdir(exist_ok=True)
        shutil.copyfile(path, run / FOLDER / FILE)
        if path.suffix == ".npz":
            Favourites(model).places()
        api.write_samples(run, latents=path, out=folder.parent / "samples")

    return sorted(folder.iterdir()), read


def edits(folder: Path) -> Kind:
    """Pictures and masks of siv_jax.edit, each beside an intact one of the other."""
    run = _toy(folder)
    toy_tables.write_picture(folder / "photo.png", 0)
    with Image.open(folder / "photo.png") as photo:
        photo.save(folder / "photo.jpg")
        photo.convert("RGBA").save(folder / "alpha.png")
        np.save(folder / "photo.npy", np.asarray(photo))
    marked = np.zeros(toy_tables.SIZE, np.uint8)
    marked[10:30, 20:40] = 255
    Image.fromarray(marked).save(folder / "mask.png")
    Image.fromarray(marked).convert("P").save(folder / "labels.png")
    np.save(folder / "mask.npy", marked)
    intact, paths = shutil.copytree(folder, folder.parent / "intact"), sorted(folder.iterdir())
    order = itertools.cycle(itertools.product(("harmonize", "paint", "edit", "super_resolution"), paths))

    def read(path: Path) -> None:
        task, seed = next(order)
        role = "mask" if seed.stem in ("mask", "labels") and task in ("harmonize", "edit") else "image"
        files = {"image": intact / "photo.png", "mask": intact / "mask.png", role: path}
        if task in ("paint", "super_resolution"):
            del files["mask"]
        size = "128x96" if task == "super_resolution" else None
        api.edit(run, task, size=size, num=1, out=folder.parent / "edited", **files)

    return paths, read


def uploads(folder: Path) -> Kind:
    """Files dropped on the page, up to where a training would start."""
    choices = itertools.cycle([trainer.QUICK, trainer.PAPER, "singan_small", "ingan_quick", "fastgan_small", "masks"])
    trainer._train = lambda *_: None
    runs = folder.parent / "runs"

    def read(path: Path) -> None:
        runs.mkdir()
        try:
            trainer.start(runs, [str(path)], next(choices))
        finally:
            left = [one for one in runs.iterdir() if not (one / ".upload" / path.name).exists()]
            shutil.rmtree(runs)
            assert not left, "a refused file leaves a run"

    return seeds(folder), read


def configs(folder: Path) -> Kind:
    values = config_lib.default().to_dict()
    (folder / "all.json").write_text(json.dumps(values, indent=2))
    (folder / "all.yaml").write_text(yaml.safe_dump({**values, "data": {"path": "x.png", "max_size": 64}}))
    (folder / "some.yaml").write_text("num_steps: 7\nmodel:\n  ch_g: 4\nloss: {diversity: image}\n")
    for family in ("osmis", "singan", "consingan", "fastgan", "ingan"):
        (folder / f"{family}.json").write_text(json.dumps(config_lib.default(family).to_dict(), indent=2))
    read = lambda path: config_lib.from_config_dict(config_file.load(str(path)))  # noqa: E731
    return sorted(folder.iterdir()), read


def protocols(folder: Path) -> Kind:
    """Tables of one's own, up to what there is to be done."""
    pictures = folder.parent / "pictures"
    toy_tables.write_picture(pictures / "a.png", 0)
    toy_tables.write_protocol(folder)
    (folder / "toy.json").rename(folder.parent / "toy.json")  # `read` is given files in that folder
    for path in (config_file.folder() / "tables").glob("*.yaml"):
        shutil.copy(path, folder)

    def read(path: Path) -> None:
        for budget in ("small", "cpu", "paper"):
            if f"{budget}:" in path.read_text(errors="replace"):
                Table(path, budget, pictures, folder.parent / "out").waiting()
                return
        Table(path, "cpu", pictures, folder.parent / "out").waiting()

    return sorted(folder.iterdir()), read


def records(folder: Path) -> Kind:
    """metrics.json of evaluations, as siv_jax.compare shows them."""
    for name in ("first", "second"):
        path = write(folder.parent / name, name, 1.5)
        (folder / f"{name}.json").write_bytes(path.read_bytes())
    forms = itertools.cycle(["text", "markdown", "latex"])

    def read(path: Path) -> None:
        compare.main([str(path), str(folder.parent / "first" / "metrics.json"), "--format", next(forms)])

    return sorted(folder.iterdir()), read


def workdirs(folder: Path) -> Kind:
    """Files of a trained run other than the arrays of its checkpoint, which benchmarks/crash.py damages."""
    run = _toy(folder)
    names = {"config.json": run / layout.CONFIG, "plan.json": run / layout.PLAN}
    names["metadata.json"] = next(run.glob("checkpoints/40/**/_METADATA"))
    names |= {f"source{path.suffix}": path for path in (run / layout.SOURCE).iterdir() if path.is_file()}
    for name, path in names.items():
        shutil.copyfile(path, folder / name)
    names["logged.txt"] = run / layout.SCALARS
    shutil.copyfile(run / layout.SCALARS, folder / "logged.txt")
    order = itertools.cycle(sorted(folder.iterdir()))

    def read(path: Path) -> None:
        name = next(order).name
        intact, damaged = (folder / name).read_bytes(), path.read_bytes()
        names[name].write_bytes(damaged)
        try:
            api.load(run).source().frames()
            RunPage(run).write(40, ended=True)
            api.write_samples(run, num=2, out=folder.parent / "samples")
        finally:
            names[name].write_bytes(intact)

    return sorted(folder.iterdir()), read


def weights(folder: Path) -> Kind:
    """Files of the original implementations, of each family: their names begin with that of the family."""
    from original_files import write_all

    others = write_all(folder)

    def read(path: Path) -> None:
        family, image, settings = others[next(order).stem]
        with tempfile.TemporaryDirectory() as workdir:
            imported.import_weights({"": path}, Path(workdir) / "run", family, image, settings)

    paths = sorted(folder.iterdir())
    order = itertools.cycle(paths)
    return paths, read


def _toy(folder: Path) -> Path:
    """A trained model of the toy family, beside `folder`."""
    run = folder.parent / "toy"
    assert toy_runs.train(run)[0] is None
    return run


KINDS = {
    kind.__name__: kind
    for kind in (inputs, masks, latents, edits, uploads, configs, protocols, records, workdirs, weights)
}
