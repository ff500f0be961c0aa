"""Draws samples from a trained model: python -m siv_jax.sample --workdir runs/photo --num 100 --seed 0 --out DIR"""

import argparse
import zipfile
from pathlib import Path

import numpy as np

from siv_jax.cli import process as command_line
from siv_jax.errors import UserError

_FRAMES_BETWEEN = 30
_FRAMES_PER_SECOND = 25


def main(argv: list[str]) -> int:
    """Runs the command; returns its exit code."""
    given = _parse(argv)
    command_line.cache_compiled_programs()
    from siv_jax.sampling import sample_files as sampling
    from siv_jax.sampling.trained_model import TrainedModel

    model = TrainedModel(given.workdir)
    out = given.out or given.workdir / f"samples_seed{given.seed}"
    if given.interpolate:
        z = sampling.walk(model.latents(given.interpolate, given.seed), _FRAMES_BETWEEN)
        for path in sampling.write_animation(out, model.generate(z), _FRAMES_PER_SECOND):
            print(path)
        return 0
    z = read_latents(given.latents) if given.latents else model.latents(given.num, given.seed)
    sheet = sampling.write_samples(out, model.generate(z), model.model.format, given.format)
    print(f"{len(z)} samples after {model.step} training steps in {out}, all together in {sheet}")
    return 0


def read_latents(path: Path) -> np.ndarray:
    """The array in an .npy file, or `latents` of an .npz file such as the favourites of siv_jax.demo.

    Raises:
      UserError: no such file, or no array of numbers in it.
    """
    try:
        found = np.load(path, allow_pickle=False)
        return found if isinstance(found, np.ndarray) else found["latents"]
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is not an .npy array of numbers, nor an .npz with latents: {error}") from None


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = command_line.Parser(
        prog="python -m siv_jax.sample", description="Draws samples from a trained model."
    )
    parser.add_argument("--workdir", type=Path, required=True, help="of the run, such as runs/photo")
    parser.add_argument(
        "--num", type=command_line.whole_number(1, 1_000_000), default=20, help="how many (20)"
    )
    parser.add_argument(
        "--seed", type=command_line.whole_number(0, 2**32 - 1), default=0, help="of the latents (0)"
    )
    parser.add_argument("--out", type=Path, help="folder for the files (WORKDIR/samples_seedN)")
    parser.add_argument(
        "--latents", type=Path, help="an .npy array [n, noise_dim], or favourites.npz of siv_jax.demo, not a seed"
    )
    parser.add_argument(
        "--format", choices=("png", "npy"), default="png", help="npy: one float32 array in [-1, 1]"
    )
    parser.add_argument(
        "--interpolate",
        type=command_line.whole_number(2, 1000),
        metavar="K",
        help="a walk between K latents instead",
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    command_line.run(main)
