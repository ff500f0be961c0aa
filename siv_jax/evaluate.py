"""Measures samples: python -m siv_jax.evaluate --workdir runs/photo, or --real photo.jpg --fake DIR --out DIR"""

import argparse
import re
import sys
import types
from pathlib import Path

from siv_jax import weights
from siv_jax.cli import process as command_line
from siv_jax.errors import UserError
from siv_jax.metrics.variants import VARIANTS

REPORT = "report.html"
# Samples that the report shows of each training image: of one, and of each of several.
_SHOWN_OF_ONE, _SHOWN_OF_EACH = 100, 16


def main(argv: list[str]) -> None:
    """Runs the command."""
    measure_as_asked(argv)


def measure_as_asked(argv: list[str]) -> dict:
    """Does what the command's arguments ask for; returns the record that metrics.json holds.

    Raises:
      UserError: arguments or input that cannot be used.
    """
    given = _parse(argv)
    weights.require([VARIANTS[given.lpips].network, "inception"], given.cache)
    # Imported after the arguments are known to be good: a misspelt flag is answered before JAX loads.
    from siv_jax.metrics import run_cases as workdirs
    from siv_jax.metrics import sample_folders

    if given.workdir:
        pending = workdirs.pending_cases(given.workdir, given.real, given.num, given.seed, given.size)
    else:
        pending = sample_folders.pending_cases(given.real, given.fake, given.size, given.pairing)
    out = given.out or given.workdir / "evaluation"
    out.mkdir(parents=True, exist_ok=True)
    command_line.cache_compiled_programs()
    return evaluate(pending, (given.workdir or given.fake).resolve().name, given.lpips, given.cache, out)


def evaluate(pending: list, name: str, lpips: str, cache: Path | None, out: Path) -> dict:
    """Measures each of `pending` (metrics.cases.Pending), prints the table and writes the files into `out`.

    One case is in memory at a time. Returns the record that metrics.json holds.

    Raises:
      UserError: a case or the weights cannot be read.
    """
    from siv_jax.metrics import record as record_lib
    from siv_jax.metrics import table
    from siv_jax.metrics.measure import Networks, Settings, measure
    from siv_jax.report import evaluation_page
    from siv_jax.workdir.layout import write_atomically

    settings = Settings(lpips=lpips)
    networks = Networks(weights.load(VARIANTS[lpips].network, cache), weights.load("inception", cache))
    images, shown = [], []
    for case in (one.load() for one in pending):
        for note in case.notes:
            print(f"note: {note}", flush=True)
        found = measure(case.fakes, case.reals, settings, networks)
        images.append(record_lib.of_case(case, found))
        shown.append(evaluation_page.image(case, found, _SHOWN_OF_ONE if len(pending) == 1 else _SHOWN_OF_EACH))
        if len(pending) > 1:
            print(f"{len(images)} of {len(pending)}: {case.name}, {len(case.fakes)} samples", flush=True)
    record = record_lib.of_all(name, images, settings)
    path = record_lib.write(out, record)
    text = evaluation_page.page(record, shown)
    write_atomically(out / REPORT, lambda file: file.write(text.encode()))
    lines = table.listing(record["mean"]) if len(images) == 1 else _fleet_table(record)
    protocol = f"protocol {record['protocol']['id']}: LPIPS {lpips}, FID-2015 weights, {_extent(images)}"
    print("\n".join(["", *lines, "", protocol, f"{path}", f"{out / REPORT}"]))
    return record


def _extent(images: list[dict]) -> str:
    """How many samples of which sizes."""
    sizes = ", ".join(sorted({f"{width}x{height}" for height, width in (image["size"] for image in images)}))
    return f"{sum(image['samples'] for image in images)} samples of {sizes}"


def _fleet_table(record: dict) -> list[str]:
    from siv_jax.metrics import table

    names = [*(image["name"] for image in record["images"]), "mean"]
    metrics = [*(image["metrics"] for image in record["images"]), record["mean"]]
    return table.text(table.rows_of(names, metrics))


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = command_line.Parser(
        prog="python -m siv_jax.evaluate",
        description="Measures the samples of a run, or of any model, and writes metrics.json and report.html.",
    )
    parser.add_argument("--workdir", type=Path, help="of a run, or a folder of workdirs: samples are drawn")
    parser.add_argument("--num", type=command_line.whole_number(1, 10_000), help="how many to draw (100)")
    parser.add_argument("--seed", type=command_line.whole_number(0, 2**32 - 1), help="of the draw (0)")
    parser.add_argument("--real", type=Path, help="training picture, clip or folder of frames, or a folder of several")
    parser.add_argument("--fake", type=Path, help="folder of samples, or a folder with one for each name in --real")
    parser.add_argument("--out", type=Path, help="folder for the results (with --workdir: WORKDIR/evaluation)")
    parser.add_argument(
        "--pairing",
        choices=("names", "set"),
        help="names: a sample belongs to the training image that its name begins with; set: all belong together",
    )
    parser.add_argument("--size", type=_size, metavar="WIDTHxHEIGHT", help="bring samples and training images to this")
    parser.add_argument(
        "--lpips",
        choices=tuple(VARIANTS),
        default="alex",
        help="network of LPIPS (alex); alex01: input in [0, 1], as the released evaluation of SIV-GAN has it",
    )
    parser.add_argument("--cache", type=Path, help="folder of the weights; $SIV_JAX_CACHE or ~/.cache/siv_jax")
    given = parser.parse_args(argv)
    if bool(given.workdir) == bool(given.fake):
        raise UserError("give either --workdir, or --real and --fake; see --help")
    if given.fake and not (given.real and given.out):
        raise UserError("--fake needs --real, the training image or images, and --out, a folder for the results")
    if given.fake and (given.num is not None or given.seed is not None):
        raise UserError("--num and --seed say how --workdir draws; --fake measures the samples that are there")
    if given.workdir and given.pairing:
        raise UserError("--pairing goes with --fake; --workdir knows what each sample belongs to")
    given.num = 100 if given.num is None else given.num
    given.seed = 0 if given.seed is None else given.seed
    return given


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 250x188")
    return int(found[2]), int(found[1])


class _CallableModule(types.ModuleType):
    """Lets siv_jax.evaluate(...) be the function of the Python API, though this module has the name."""

    def __call__(self, *arguments, **options) -> dict:
        """See siv_jax.api.evaluate."""
        from siv_jax import api

        return api.evaluate(*arguments, **options)


if __name__ == "__main__":
    command_line.run(main)
else:
    sys.modules[__name__].__class__ = _CallableModule
