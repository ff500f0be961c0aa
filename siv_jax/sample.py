"""Draws samples from a trained model: python -m siv_jax.sample --workdir runs/photo --num 100 --seed 0 --out DIR"""

import argparse
from pathlib import Path

from siv_jax.cli import process, progress


def main(argv: list[str]) -> None:
    """Runs the command."""
    given = _parse(argv)
    from siv_jax import api

    for line in api.write_samples(**vars(given), progress=progress.pictures):
        print(line)


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = process.Parser(prog="python -m siv_jax.sample", description="Draws samples from a trained model.")
    parser.add_argument("--workdir", type=process.existing_folder, required=True, help="of the run, such as runs/photo")
    parser.add_argument("--num", type=process.whole_number(1, 1_000_000), help="how many (20)")
    parser.add_argument("--seed", type=process.whole_number(0, 2**32 - 1), help="of the latents (0)")
    parser.add_argument("--out", type=Path, help="folder for the files (WORKDIR/samples_seedN)")
    parser.add_argument(
        "--latents", type=Path, help="an .npy array [n, noise_dim], or favourites.npz of siv_jax.app, not a seed"
    )
    parser.add_argument("--format", choices=("png", "npy"), help="npy: one float32 array in [-1, 1] (png)")
    parser.add_argument(
        "--interpolate", type=process.whole_number(2, 1000), metavar="K", help="a walk between K samples instead"
    )
    parser.add_argument(
        "--size",
        help="photo, WIDTHxHEIGHT or 2x: drawn by a model that makes any size (2x of its training size), else rendered "
        "from the photo's patches (2x of the photo)",
    )
    parser.add_argument(
        "--start_scale", type=process.whole_number(0, 100), help="of a pyramid: scales below reconstruct the photo (0)"
    )
    parser.add_argument("--labels", **process.LABELS)
    parser.add_argument("--fidelity", type=float, help="of rendering, see siv_jax.render")
    return parser.parse_args(argv)


if __name__ == "__main__":
    process.run(main)
