"""Makes a workdir from weights of an original PyTorch implementation.

    python -m siv_jax.import_reference --weights G_EMA.pth --workdir runs/imported

Takes a .pth state_dict, read without torch and without running any code of the file, or an .npz of the same
tensors, where names may carry a prefix such as `G_state/`. `siv_jax.sample` then draws from the workdir.
"""

from pathlib import Path

from siv_jax.cli import process


def main(argv: list[str]) -> None:
    """Runs the command."""
    parser = process.Parser(prog="python -m siv_jax.import_reference", description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True, help="a .pth state_dict, or an .npz of its tensors")
    parser.add_argument("--workdir", type=Path, required=True, help="new folder for the model")
    parser.add_argument("--model", default=None, help="the family that the weights belong to")
    given = parser.parse_args(argv)
    from siv_jax import api

    print(api.import_weights(given.weights, given.workdir, given.model))


if __name__ == "__main__":
    process.run(main)
