"""Damages files of every kind that is read and looks how reading them ends: well, or in one clear line.

    python benchmarks/fuzz.py --count 100000 [--kinds inputs,masks,latents,configs,records,weights] [--out FILE]

inputs are pictures, clips, animations and arrays; records are metrics.json of evaluations; weights are .npz archives of
a generator; configs are JSON and YAML. A reader may take SECONDS and MEGABYTES: a longer or larger one counts as an
other end, and so does any exception but the user's error. One JSON line a kind; the first other ends are shown. A
reader that crashes ends the whole command: FOLDER/last then names the file.
"""

import argparse
import contextlib
import io
import json
import resource
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np
import yaml
from measure import emit
from PIL import Image

sys.path.append(str(Path(__file__).parent.parent / "tests"))

from test_compare import write
from test_data_fuzz import damaged, seeds

from siv_jax import config as config_lib
from siv_jax.cli import config_file
from siv_jax.config import DataConfig
from siv_jax.data import open_source
from siv_jax.data.mask_file import read_masks
from siv_jax.errors import UserError
from siv_jax.metrics import record
from siv_jax.sampling.latents_file import read_latents
from siv_jax.workdir import imported

SECONDS, MEGABYTES = 20.0, 3000
SHOWN = 5  # other ends of each kind

Kind = tuple[list[Path], Callable[[Path], object]]


def inputs(folder: Path) -> Kind:
    def read(path: Path) -> None:
        source = open_source(DataConfig(path=str(path), max_frames=3))
        assert np.isfinite(source.resized(48, 64)).all()

    return seeds(folder), read


def masks(folder: Path) -> Kind:
    source = open_source(DataConfig(path="example:balloons"))
    labels = (np.arange(source.size[0] * source.size[1]).reshape(source.size) // 5000 % 7).astype(np.uint8)
    gray, palette = Image.fromarray(labels), Image.fromarray(labels).convert("P")
    gray.save(folder / "gray.png")
    palette.save(folder / "palette.png")
    palette.save(folder / "palette.gif")
    return sorted(folder.iterdir()), lambda path: read_masks(path, source)


def latents(folder: Path) -> Kind:
    rng = np.random.default_rng(0)
    np.save(folder / "single.npy", rng.normal(size=(5, 64)).astype(np.float32))
    np.save(folder / "double.npy", rng.normal(size=(3, 2, 4)))
    np.savez(folder / "several.npz", z=rng.normal(size=(5, 64)))
    return sorted(folder.iterdir()), read_latents


def configs(folder: Path) -> Kind:
    values = config_lib.default().to_dict()
    (folder / "all.json").write_text(json.dumps(values, indent=2))
    (folder / "all.yaml").write_text(yaml.safe_dump({**values, "data": {"path": "x.png", "max_size": 64}}))
    (folder / "some.yaml").write_text("num_steps: 7\nmodel:\n  ch_g: 4\nloss: {diversity: image}\n")
    read = lambda path: config_lib.from_config_dict(config_file.load(str(path)))  # noqa: E731
    return sorted(folder.iterdir()), read


def records(folder: Path) -> Kind:
    for name in ("first", "second"):
        path = write(folder.parent / name, name, 1.5)
        (folder / f"{name}.json").write_bytes(path.read_bytes())
    return sorted(folder.iterdir()), record.read


def weights(folder: Path) -> Kind:
    rng = np.random.default_rng(0)
    shapes = {f"body.{i}.conv.weight": (4, 4, 3, 3) for i in range(4)} | {"to_rgb.weight": (3, 4, 1, 1)}
    np.savez(folder / "plain.npz", **{name: rng.normal(size=shape) for name, shape in shapes.items()})

    def read(path: Path) -> None:
        with tempfile.TemporaryDirectory() as workdir:
            imported.import_weights({"": path}, Path(workdir) / "run", "siv_gan")

    return sorted(folder.iterdir()), read


KINDS = {kind.__name__: kind for kind in (inputs, masks, latents, configs, records, weights)}


def fuzz(name: str, folder: Path, count: int, seed: int) -> dict:
    (folder / "seeds").mkdir(parents=True)
    paths, read = KINDS[name](folder / "seeds")
    contents, rng = [path.read_bytes() for path in paths], np.random.default_rng([seed, len(name)])
    found = {"loaded": 0, "refused": 0, "others": 0, "slowest": 0.0}
    for case in range(count):
        which = case % len(paths)
        path = folder / f"case{paths[which].suffix}"
        path.write_bytes(damaged(rng, contents, which))
        (folder / "last").write_text(f"case {case}, from {paths[which].name}")
        began, end, printed = time.monotonic(), "others", io.StringIO()
        try:
            with contextlib.redirect_stderr(printed), contextlib.redirect_stdout(printed):
                read(path)
            end = "loaded"
        except UserError as error:
            end = "refused" if "\n" not in str(error) and "mistake of siv_jax" not in str(error) else "others"
        except BaseException:
            printed.write(traceback.format_exc()[-1200:])
        seconds = time.monotonic() - began
        end = "others" if seconds > SECONDS else end
        found["slowest"] = max(found["slowest"], round(seconds, 2))
        found[end] += 1
        if end == "others" and found["others"] <= SHOWN:
            kept = Path(tempfile.mkdtemp()) / path.name
            kept.write_bytes(path.read_bytes())
            print(f"{name}, case {case} from {paths[which].name}, kept as {kept}:", file=sys.stderr)
            print(printed.getvalue(), file=sys.stderr)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000, help="damaged files over all kinds")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="", help="file to append the lines to")
    given = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_DATA, (MEGABYTES * 10**6, MEGABYTES * 10**6))
    names = given.kinds.split(",")
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            found = fuzz(name, Path(folder) / name, given.count // len(names), given.seed)
        about = {"benchmark": "fuzz", "kind": name, "count": given.count // len(names), "seed": given.seed}
        emit(about | found, given.out)


if __name__ == "__main__":
    main()
