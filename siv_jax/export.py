"""Writes a trained model as one file to give away.

    python -m siv_jax.export --workdir runs/photo --out photo.safetensors
    python -m siv_jax.import_reference --weights photo.safetensors --workdir runs/theirs [--image photo.jpg]

The file holds the generator's weights, its config and its plan, not the photo; the second command makes a workdir of
it, which can be sampled from, and rendered from where the photo is given.
"""

from pathlib import Path

from siv_jax.cli import process


def main(argv: list[str]) -> None:
    """Runs the command."""
    parser = process.Parser(prog="python -m siv_jax.export", description=__doc__.splitlines()[0])
    parser.add_argument("--workdir", type=process.existing_folder, required=True, help="of the run")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="a new .safetensors file")
    given = parser.parse_args(argv)
    from siv_jax import api

    print(api.export_model(given.workdir, given.out))


if __name__ == "__main__":
    process.run(main)
