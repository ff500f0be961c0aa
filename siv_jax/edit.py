"""Edits with a trained model: python -m siv_jax.edit --workdir runs/x --task harmonize --image naive.png --out DIR"""

import functools
from pathlib import Path

from siv_jax.cli import process, progress


def main(argv: list[str]) -> int:
    """Runs the command; returns its exit code."""
    given = _parse(argv)
    from siv_jax import api

    for line in api.edit(**given, progress=functools.partial(progress.pictures, alone=False)):
        print(line)
    return 0


def _parse(argv: list[str]) -> dict:
    from siv_jax.apply.request import DEFAULT_FRAMES, TASKS

    parser = process.Parser(
        prog="python -m siv_jax.edit",
        description="Edits, repairs, enlarges or animates a picture with the model that learnt it.",
        epilog="Tasks: " + "; ".join(f"{name}: {task.what}" for name, task in TASKS.items()) + ".",
    )
    parser.add_argument("--workdir", type=process.existing_folder, required=True, help="of the run, such as runs/photo")
    parser.add_argument("--task", choices=tuple(TASKS), required=True)
    parser.add_argument("--image", type=Path, help="the edited, collaged or painted picture, of any size")
    parser.add_argument("--mask", type=Path, help="white where the image was changed: the rest stays the photo")
    parser.add_argument(
        "--size",
        help="photo, WIDTHxHEIGHT, a factor such as 2x, or factors of width and height such as 1.5x1.0; of an animated "
        "retarget also FROM:TO",
    )
    parser.add_argument(
        "--start_scale",
        type=process.whole_number(0, 99),
        help="where the image enters a model's pyramid, 0 the coarsest: the lower, the more is drawn anew",
    )
    parser.add_argument("--num", type=process.whole_number(1, 10_000), help="how many variants (1)")
    parser.add_argument("--seed", type=process.whole_number(0, 2**32 - 1), help="of the variants (0)")
    parser.add_argument(
        "--frames", type=process.whole_number(2, 10_000), help=f"of an animation ({DEFAULT_FRAMES} to animate)"
    )
    parser.add_argument("--strength", type=float, help="how strongly frames are drawn to the picture, 0 to 1 (0.1)")
    parser.add_argument("--smoothness", type=float, help="how much of its last move a frame keeps, 0 to 1 (0.9)")
    parser.add_argument("--out", type=Path, help="folder for the files (WORKDIR/TASK)")
    return vars(parser.parse_args(argv))


if __name__ == "__main__":
    process.run(main)
