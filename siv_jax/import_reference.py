"""Makes a workdir from weights of an original PyTorch implementation, or from a file of siv_jax.export.

    python -m siv_jax.import_reference --weights G_EMA.pth --workdir runs/imported
    python -m siv_jax.import_reference --model NAME --weights generators=A.pth amplitudes=B.pth z_star=C.pth \\
        --image photo.jpg --set data.max_size=300 --workdir runs/imported

Takes a .pth that `torch.save` wrote, of a state_dict or of dictionaries and lists that hold some, read without torch
and without running any code of the file, or an .npz of the same tensors, where names may carry a prefix such as
`G_state/`. `siv_jax.sample` then draws from the workdir. What the file of each family holds, and which of them need
the picture that was learnt, says docs/models.md.
"""

import argparse
import json
from pathlib import Path

from siv_jax.cli import process


def main(argv: list[str]) -> None:
    """Runs the command."""
    parser = process.Parser(prog="python -m siv_jax.import_reference", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--weights",
        type=_file,
        required=True,
        nargs="+",
        metavar="[NAME=]FILE",
        help="a .pth of tensors, an .npz of them, or a .safetensors of siv_jax.export; several with what comes before "
        "the names of their tensors",
    )
    parser.add_argument("--workdir", type=Path, required=True, help="new folder for the model")
    parser.add_argument("--model", default=None, help="the family that the weights belong to")
    parser.add_argument("--image", type=Path, help="the picture that was learnt; the workdir keeps it")
    parser.add_argument(
        "--set",
        type=_setting,
        action="append",
        default=[],
        dest="settings",
        metavar="KEY=VALUE",
        help="a setting of the original's training that is not the default here, such as data.max_size=300",
    )
    given = parser.parse_args(argv)
    if len(dict(given.weights)) < len(given.weights):
        parser.error("of several --weights each takes another NAME=")
    from siv_jax import api

    print(api.import_weights(dict(given.weights), given.workdir, given.model, given.image, dict(given.settings)))


def _file(text: str) -> tuple[str, Path]:
    """NAME=FILE as (name, file); of a file alone the name is empty."""
    name, equals, path = text.partition("=")
    if equals and name.isidentifier() and not process.expanded(text).exists():
        return name, process.expanded(path)
    return "", process.expanded(text)


def _setting(text: str) -> tuple[str, object]:
    """KEY=VALUE as (key, value), where what is no number or truth value is text."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE, such as data.max_size=300")
    try:
        return key, json.loads(value.lower())
    except (ValueError, RecursionError):
        return key, value


if __name__ == "__main__":
    process.run(main)
