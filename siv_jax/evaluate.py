"""Measures samples: python -m siv_jax.evaluate --workdir runs/photo, or --real photo.jpg --fake DIR --out DIR"""

import argparse
import functools
import re
import sys
import types
from pathlib import Path

from siv_jax.cli import process
from siv_jax.metrics import evaluation, network_weights


def main(argv: list[str]) -> None:
    """Runs the command."""
    evaluation.evaluate(**vars(_parse(argv)), say=functools.partial(print, flush=True))


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = process.Parser(
        prog="python -m siv_jax.evaluate",
        description="Measures the samples of a run, or of any model, and writes metrics.json and report.html.",
    )
    parser.add_argument("--workdir", type=Path, help="of a run, or a folder of workdirs: samples are drawn")
    parser.add_argument("--num", type=int, help="how many to draw (100)")
    parser.add_argument("--seed", type=int, help="of the draw (0)")
    parser.add_argument(
        "--rendered", action="store_true", help="measure samples rendered from the photo's patches, at its size"
    )
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
        choices=tuple(network_weights.LPIPS_FORMS),
        default="alex",
        help="form of LPIPS (alex); alex01: input in [0, 1], as the released evaluation of SIV-GAN has it",
    )
    parser.add_argument("--cache", type=Path, help="folder of the weights; $SIV_JAX_CACHE or ~/.cache/siv_jax")
    return parser.parse_args(argv)


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d+)x(\d+)", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 250x188")
    return int(found[2]), int(found[1])


class _CallableModule(types.ModuleType):
    """Lets siv_jax.evaluate(...) be the function, though importing this module gives the package its name."""

    def __call__(self, *arguments, **options) -> dict:
        """See siv_jax.metrics.evaluation.evaluate."""
        return evaluation.evaluate(*arguments, **options)


sys.modules[__name__].__class__ = _CallableModule

if __name__ == "__main__":
    process.run(main)
