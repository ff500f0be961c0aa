"""Archives built by hand, as torch.save lays them out: protocol 2 pickles beside raw storages."""

import io
import pickle
import struct
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from siv_jax.data.torch_archive import read_tensors
from siv_jax.errors import UserError


def global_(name: str) -> bytes:
    module, _, attribute = name.rpartition(".")
    return b"c" + module.encode() + b"\n" + attribute.encode() + b"\n"


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def integer(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def tuple_(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def ordered_dict(*entries: tuple[str, bytes]) -> bytes:
    start = global_("collections.OrderedDict") + b")R"
    return start + b"(" + b"".join(text(name) + value for name, value in entries) + b"u"


def tensor(storage, key, count, offset, size, stride) -> bytes:
    pid = tuple_(text("storage"), global_(f"torch.{storage}"), text(key), text("cpu"), integer(count)) + b"Q"
    shape = [tuple_(*map(integer, values)) for values in (size, stride)]
    arguments = tuple_(pid, integer(offset), *shape, b"\x89", ordered_dict())
    return global_("torch._utils._rebuild_tensor_v2") + arguments + b"R"


def save(path, body: bytes, storages=(), extra=(), compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("G/data.pkl", b"\x80\x02" + body + b".")
        for key, array in enumerate(storages):
            archive.writestr(f"G/data/{key}", np.asarray(array).tobytes())
        for name, content in extra:
            archive.writestr(f"G/{name}", content)
    return path


VALUES = np.arange(12, dtype=np.float32)
PLAIN = tensor("FloatStorage", "0", 12, 0, (3, 4), (4, 1))


def test_names_shapes_and_strides(tmp_path):
    body = ordered_dict(
        ("plain", PLAIN),
        ("transposed", tensor("FloatStorage", "0", 12, 0, (4, 3), (1, 4))),
        ("tail", tensor("FloatStorage", "0", 12, 9, (3,), (1,))),
        ("scalar", tensor("LongStorage", "1", 1, 0, (), ())),
        ("empty", tensor("FloatStorage", "0", 12, 0, (0, 5), (5, 1))),
        ("owned", global_("torch._utils._rebuild_parameter") + tuple_(PLAIN, b"\x88", ordered_dict()) + b"R"),
    )
    found = read_tensors(save(tmp_path / "G.pth", body, [VALUES, np.int64([7])]))
    assert list(found) == ["plain", "transposed", "tail", "scalar", "empty", "owned"]
    np.testing.assert_array_equal(found["plain"], VALUES.reshape(3, 4))
    np.testing.assert_array_equal(found["transposed"], VALUES.reshape(3, 4).T)
    np.testing.assert_array_equal(found["tail"], [9, 10, 11])
    np.testing.assert_array_equal(found["owned"], VALUES.reshape(3, 4))
    assert found["scalar"].shape == () and found["scalar"] == 7 and found["scalar"].dtype == np.int64
    assert found["empty"].shape == (0, 5)


def test_state_dict_with_metadata(tmp_path):
    metadata = b"}" + text("_metadata") + ordered_dict(("", b"}" + text("version") + integer(1) + b"s")) + b"s"
    found = read_tensors(save(tmp_path / "G.pth", ordered_dict(("w", PLAIN)) + metadata + b"b", [VALUES]))
    assert list(found) == ["w"]


@pytest.mark.parametrize(
    ("storage", "dtype"),
    [
        ("HalfStorage", np.float16),
        ("BFloat16Storage", ml_dtypes.bfloat16),
        ("DoubleStorage", np.float64),
        ("IntStorage", np.int32),
        ("ByteStorage", np.uint8),
        ("BoolStorage", np.bool_),
    ],
)
@pytest.mark.parametrize("order", ["little", "big"])
def test_types(tmp_path, storage, dtype, order):
    values = np.array([0, 1, 1, 5]).astype(dtype)
    stored = values.byteswap() if order == "big" else values
    body = ordered_dict(("w", tensor(storage, "0", 4, 0, (2, 2), (2, 1))))
    found = read_tensors(save(tmp_path / "G.pth", body, [stored], [("byteorder", order)]))["w"]
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, values.reshape(2, 2))


def test_torchscript_module(tmp_path):
    inner = global_("__torch__.net.Conv") + b")\x81}(" + text("weight") + PLAIN + text("stride") + integer(2) + b"ub"
    body = global_("__torch__.net.Net") + b")\x81}(" + text("training") + b"\x89" + text("conv") + inner + b"ub"
    found = read_tensors(save(tmp_path / "net.pt", body, [VALUES], [("code/__torch__/net.py", "exit(1)")]))
    assert list(found) == ["conv.weight"]
    np.testing.assert_array_equal(found["conv.weight"], VALUES.reshape(3, 4))


def test_checkpoint_of_dictionaries_lists_and_numbers(tmp_path):
    averages = b"](" + PLAIN + PLAIN + b"e"
    body = b"}(" + text("g") + ordered_dict(("w", PLAIN)) + text("ema") + averages
    body += text("epoch") + integer(3) + text("name") + text("x") + text("done") + b"\x88" + integer(7) + integer(8)
    found = read_tensors(save(tmp_path / "all.pth", body + b"u", [VALUES]))
    assert list(found) == ["g.w", "ema.0", "ema.1", "epoch", "7"]
    np.testing.assert_array_equal(found["ema.1"], VALUES.reshape(3, 4))
    assert found["epoch"].shape == () and found["epoch"] == 3
    assert list(read_tensors(save(tmp_path / "one.pth", PLAIN, [VALUES]))) == [""]


def pickled_module(name: str, tensors=(), modules=()) -> bytes:
    """As pickle writes a module of a class of its own, which need not be there."""
    parameters = ordered_dict(*tensors, ("bias", b"N"))
    attributes = text("_parameters") + parameters + text("_buffers") + ordered_dict()
    attributes += text("_non_persistent_buffers_set") + global_("__builtin__.set") + tuple_(b"]") + b"R"
    attributes += text("_modules") + ordered_dict(*modules) + text("training") + b"\x88" + text("stride") + integer(2)
    return global_(name) + b")\x81}(" + attributes + b"ub"


def test_pickled_modules_need_no_class(tmp_path):
    inner = pickled_module("torch.nn.modules.conv.Conv2d", [("weight", PLAIN)])
    module = pickled_module("nowhere.Net", (), [("head", inner)])
    found = read_tensors(save(tmp_path / "all.pth", b"](" + module + module + b"e", [VALUES]))
    assert list(found) == ["0.head.weight", "1.head.weight"]
    np.testing.assert_array_equal(found["0.head.weight"], VALUES.reshape(3, 4))


def legacy(path, body: bytes, storages, protocol=1001) -> Path:
    """As torch before 1.6 wrote it: pickles one after another, then the storages."""
    system = b"}(" + text("protocol_version") + integer(1001) + text("little_endian") + b"\x88u"
    keys = b"](" + b"".join(text(str(key)) for key in range(len(storages))) + b"e"
    start = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
    pickles = [b"\x80\x02" + part + b"." for part in (integer(protocol), system, body, keys)]
    contents = [struct.pack("<q", array.size) + array.tobytes() for array in map(np.asarray, storages)]
    path.write_bytes(start + b"".join([*pickles, *contents]))
    return path


def legacy_tensor(storage, key, count, size, stride) -> bytes:
    """Its storages have one part more, that of a view; its modules the text of their class."""
    pid = tuple_(text("storage"), global_(f"torch.{storage}"), text(key), text("cpu"), integer(count), b"N") + b"Q"
    shape = [tuple_(*map(integer, values)) for values in (size, stride)]
    arguments = tuple_(pid, integer(0), *shape, b"\x89", ordered_dict())
    return global_("torch._utils._rebuild_tensor_v2") + arguments + b"R"


def test_files_from_before_torch_1_6(tmp_path):
    first, second = legacy_tensor("FloatStorage", "0", 12, (3, 4), (4, 1)), legacy_tensor("LongStorage", "1", 1, (), ())
    cls = tuple_(text("module"), global_("nowhere.Net"), text("nowhere.py"), text("exit(1)")) + b"Q"
    module = cls + b")\x81}(" + text("_parameters") + ordered_dict(("w", first)) + text("_buffers") + ordered_dict()
    module += text("_modules") + ordered_dict(("inner", global_("nowhere.Net") + b")\x81}" + b"b")) + b"ub"
    body = b"](" + module + ordered_dict(("n", second), ("again", first)) + b"e"
    path = legacy(tmp_path / "G.pth", body, [VALUES, np.int64([7])])
    found = read_tensors(path)
    assert list(found) == ["0.w", "1.n", "1.again"] and found["1.n"] == 7
    np.testing.assert_array_equal(found["0.w"], VALUES.reshape(3, 4))
    content = path.read_bytes()
    for length in range(14, len(content)):
        (tmp_path / "bad.pth").write_bytes(content[:length])
        refused(tmp_path / "bad.pth", "damaged")
    refused(legacy(tmp_path / "bad.pth", body, [VALUES]), "list of its storages")
    refused(legacy(tmp_path / "bad.pth", body, [VALUES[:5], np.int64([7])]), "damaged at its storage 0")
    refused(legacy(tmp_path / "bad.pth", body, [VALUES, np.int64([7])], protocol=1000), "older format")
    call = global_("os.system") + tuple_(text("exit 1")) + b"R"
    refused(legacy(tmp_path / "bad.pth", call, []), "os.system")


def refused(path, match):
    with pytest.raises(UserError, match=match) as caught:
        read_tensors(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_code_is_not_run(tmp_path):
    marker = tmp_path / "marker"
    call = global_("os.system") + tuple_(text(f"touch {marker}")) + b"R"
    refused(save(tmp_path / "bad.pth", ordered_dict(("w", call))), "os.system")
    refused(save(tmp_path / "bad.pth", global_("builtins.eval") + tuple_(text("1")) + b"R"), "builtins.eval")
    refused(save(tmp_path / "bad.pth", global_("torch.nn.Linear") + b")R"), "torch.nn.Linear")
    assert not marker.exists()


@pytest.mark.parametrize(
    ("body", "storages", "match"),
    [
        (
            ordered_dict(("w", tensor("FloatStorage", "0", 12, 1, (3, 4), (4, 1)))),
            [VALUES],
            "larger than its",
        ),
        (
            ordered_dict(("w", tensor("FloatStorage", "0", 12, 0, (2**30,), (0,)))),
            [VALUES],
            "larger than its",
        ),
        (ordered_dict(("w", tensor("FloatStorage", "0", 12, -1, (3,), (1,)))), [VALUES], "larger than its"),
        (ordered_dict(("w", tensor("FloatStorage", "0", 12, 4, (3,), (-1,)))), [VALUES], "negative"),
        (ordered_dict(("w", tensor("FloatStorage", "0", 13, 0, (3,), (1,)))), [VALUES], "does not hold 13"),
        (ordered_dict(("w", tensor("FloatStorage", "9", 12, 0, (3,), (1,)))), [VALUES], "damaged"),
        (ordered_dict(("name", text("x"))), [], "without tensors"),
        (text("x"), [], "holds a str without tensors, not a state_dict"),
        (b"]q\x00h\x00a", [], "without end"),  # a list that holds itself
        (b"]" + b"".join(b"q%c]h%ca" % (i, i) + b"h%ca" % i for i in range(40)), [], "without end"),  # 2^40 lists
        (b"(", [], "damaged"),
    ],
)
def test_bad_contents(tmp_path, body, storages, match):
    refused(save(tmp_path / "bad.pth", body, storages), match)


def test_bad_files(tmp_path):
    good = save(tmp_path / "G.pth", ordered_dict(("w", PLAIN)), [VALUES]).read_bytes()
    path = tmp_path / "bad.pth"
    refused(path, "No such file")
    refused(tmp_path, "Is a directory")
    for content, match in [
        (b"", "not an archive"),
        (b"hello" * 100, "not an archive"),
        (good[:-30], "cut short"),
        (good.replace(VALUES.tobytes(), VALUES[::-1].tobytes()), "damaged"),
        (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", "damaged"),
    ]:
        path.write_bytes(content)
        refused(path, match)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    refused(path, "not one that torch.save wrote")
    refused(save(path, ordered_dict(("w", PLAIN)), [VALUES], compression=zipfile.ZIP_DEFLATED), "does not hold 12")


def test_every_truncation_of_the_pickle_is_refused(tmp_path):
    body = b"\x80\x02" + ordered_dict(("w", PLAIN)) + b"."
    for length in range(len(body)):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("G/data.pkl", body[:length])
            archive.writestr("G/data/0", VALUES.tobytes())
        (tmp_path / "bad.pth").write_bytes(buffer.getvalue())
        refused(tmp_path / "bad.pth", "data.pkl")


def test_archive_helpers_write_valid_pickles():
    assert pickle.loads(b"\x80\x02" + tuple_(text("a"), integer(-3)) + b".") == ("a", -3)
