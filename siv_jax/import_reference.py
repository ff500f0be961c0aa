"""Makes a workdir from generator weights of the original PyTorch implementation.

    python -m siv_jax.import_reference --weights G_EMA.pth --workdir runs/imported

Takes a .pth state_dict, read without torch and without running any code of the file, or an .npz of the same
tensors, where names may carry a prefix such as `G_state/`. `siv_jax.sample` then draws from the workdir.
"""

from pathlib import Path

import numpy as np

from siv_jax.cli import process as command_line
from siv_jax.data import torch_archive
from siv_jax.errors import UserError
from siv_jax.models.siv_gan import old_weights as reference_weights

# Part of every generator's state_dict; what stands before it in a name is a prefix.
_FIRST = "first_linear.weight"


def main(argv: list[str]) -> int:
    """Runs the command; returns its exit code."""
    parser = command_line.Parser(prog="python -m siv_jax.import_reference", description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True, help="a .pth state_dict, or an .npz of its tensors")
    parser.add_argument("--workdir", type=Path, required=True, help="new folder for the model")
    given = parser.parse_args(argv)
    tensors = read_generator(given.weights)
    try:
        params, vectors = reference_weights.generator(tensors)
        plan, config = describe(params)
    except UserError as error:
        raise UserError(f"{given.weights}: {error}") from None
    write_workdir(given.workdir, given.weights.name, plan, config, params, vectors)
    print(
        f"imported a generator of {plan.num_blocks_g} blocks, {plan.width}x{plan.height}, as {given.workdir}; "
        f"next: python -m siv_jax.sample --workdir {given.workdir} --num 20"
    )
    return 0


def read_generator(path: Path) -> dict[str, np.ndarray]:
    """The generator's tensors in `path` under their own names, without prefix.

    Raises:
      UserError: the file cannot be read, or holds no generator or more than one.
    """
    tensors = _read_npz(path) if path.suffix.lower() == ".npz" else torch_archive.read_tensors(path)
    prefixes = [name.removesuffix(_FIRST) for name in tensors if name.endswith(_FIRST)]
    # Copies of the tensors after something was done to them, such as gradients, are not weights.
    prefixes = [prefix for prefix in prefixes if f"{prefix}body.0.conv1.weight_u" in tensors]
    if len(prefixes) != 1:
        found = "none" if not prefixes else ", ".join(prefixes)
        raise UserError(f"{path} should hold the weights of one SIV-GAN generator, but holds {found}")
    return {
        name.removeprefix(prefixes[0]): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefixes[0]) and not name.endswith("num_batches_tracked")
    }


def describe(params: dict):
    """(Plan, Config) of a generator with these parameters.

    Raises:
      UserError: the shapes are those of no generator of this method.
    """
    from siv_jax.config import Config, ModelConfig
    from siv_jax.models.siv_gan.plan import Plan
    from siv_jax.models.siv_gan.state import generator_shapes
    from siv_jax.nn.flat import Layout

    noise_dim, noise_height, noise_width, _ = params["dense"]["kernel"].shape
    blocks = sum(name.startswith("block_") for name in params)
    last = params[f"block_{blocks - 1}"]["conv2"]["kernel"].shape[-1]
    channels = params[f"to_image_{blocks - 1}"]["kernel"].shape[-1]
    cell = 2 ** (blocks - 1)
    plan = Plan(
        height=noise_height * cell,
        width=noise_width * cell,
        channels=channels,
        noise_height=noise_height,
        noise_width=noise_width,
        num_blocks_g=blocks,
        # There is no discriminator; sampling reads neither of these.
        num_blocks_d=2,
        num_blocks_low_level=1,
    )
    config = Config(model=ModelConfig(ch_g=last, noise_dim=noise_dim))
    if not 5 <= blocks <= 9 or Layout.of(generator_shapes(plan, config.model)) != Layout.of(params):
        raise UserError("these weights have the shapes of no SIV-GAN generator")
    return plan, config


def write_workdir(folder: Path, source: str, plan, config, params: dict, vectors: dict) -> None:
    """A workdir that holds a generator alone: it can be sampled from, not trained on.

    Raises:
      UserError: `folder` is not empty or cannot be written.
    """
    from siv_jax.data.pixel_format import PICTURE, PixelFormat
    from siv_jax.models.siv_gan.state import Layouts
    from siv_jax.workdir import checkpoint
    from siv_jax.workdir import layout as workdir

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} exists and is not empty: choose a new --workdir")
    lock = workdir.lock_folder(folder)
    layouts = Layouts.of(params)
    pixel_format = PICTURE if plan.channels == 3 else PixelFormat("npy", "float32", -1.0, 1.0)
    checkpoint.save_generator(
        folder / workdir.CHECKPOINTS, layouts.params.join(params), layouts.vectors.join(vectors)
    )
    workdir.save_model(folder, workdir.Model(plan, pixel_format, source, digest=""))
    workdir.save_config(folder, config)
    lock.release()


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except Exception as error:  # a damaged archive raises zipfile's, zlib's and numpy's errors
        raise UserError(f"{path} is not an .npz archive of arrays: {error}") from None


if __name__ == "__main__":
    command_line.run(main)
