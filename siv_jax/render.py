"""Sharp pictures of any size from a photo's own patches: python -m siv_jax.render --workdir runs/photo --out DIR"""

import argparse
from pathlib import Path

from siv_jax.cli import process, progress


def main(argv: list[str]) -> int:
    """Runs the command; returns its exit code."""
    given = _parse(argv)
    from siv_jax import api

    for line in api.render(**given, progress=progress.pictures):
        print(line)
    return 0


def _parse(argv: list[str]) -> dict:
    parser = process.Parser(
        prog="python -m siv_jax.render",
        description="Renders samples, or any rough picture, from a photo's own patches.",
    )
    parser.add_argument("--workdir", type=process.existing_folder, help="of a run, whose samples are rendered")
    parser.add_argument("--photo", type=Path, help="a photo or a clip, without a run; needs --from")
    parser.add_argument(
        "--from",
        dest="rough",
        metavar="IMAGE|noise",
        help="a rough picture to render instead of samples: a sketch, a collage; or noise, for patch synthesis",
    )
    parser.add_argument("--num", type=process.whole_number(1, 1_000_000), help="how many (20)")
    parser.add_argument("--seed", type=process.whole_number(0, 2**32 - 1), help="of the samples (0)")
    parser.add_argument("--size", default="photo", help="photo, WIDTHxHEIGHT or a factor such as 2x (photo)")
    fidelity = "how strongly every part of the photo must be used, 0 to 8 (7)"
    parser.add_argument("--fidelity", type=float, default=argparse.SUPPRESS, help=fidelity)
    parser.add_argument("--latents", type=Path, help="a file of latents, see siv_jax.sample")
    parser.add_argument("--mask", type=Path, help="of the photo: every rendered picture gets one")
    parser.add_argument("--labels", **process.LABELS)
    parser.add_argument("--out", type=Path, help="folder for the files (WORKDIR/rendered_seedN)")
    return vars(parser.parse_args(argv))


if __name__ == "__main__":
    process.run(main)
