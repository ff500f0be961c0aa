"""Writes a trained model as one file to give away.

    python -m siv_jax.export --workdir runs/photo --out photo.safetensors
    python -m siv_jax.import_reference --weights photo.safetensors --workdir runs/theirs [--image photo.jpg]

The file holds what sampling needs of the weights, the config and the plan. The photo is in it only where samples start
from it, as those of a model for retargeting do. The second command makes a workdir of the file, which can be sampled
from, and rendered from where the photo is given. Without the photo, a model that chooses among draws has the draws
alone to choose by, so that most of its samples are others than those of the run.
"""

from pathlib import Path

from siv_jax.cli import process


def main(argv: list[str]) -> None:
    """Runs the command."""
    parser = process.Parser(prog="python -m siv_jax.export", description=__doc__.splitlines()[0])
    parser.add_argument("--workdir", type=process.existing_folder, required=True, help="of the run")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="a .safetensors file")
    given = parser.parse_args(argv)
    from siv_jax import api

    print(api.export_model(given.workdir, given.out))


if __name__ == "__main__":
    process.run(main)
