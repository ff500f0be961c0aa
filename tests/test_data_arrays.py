"""Arrays: .npy and TIFF, read with their own type and channels and written back as what came in."""

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from siv_jax.config import DataConfig, ModelConfig
from siv_jax.data import PixelFormat, load_frames
from siv_jax.errors import UserError

MODEL = ModelConfig()
SIDE = 64
DTYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float16", "float32", "float64", "bool"]


def load(path, **settings):
    return load_frames(DataConfig(path=str(path), **settings), MODEL)[0]


def samples_of(dtype, shape, seed=0):
    rng = np.random.default_rng(seed)
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(bool)
    if dtype.kind == "f":
        return (rng.normal(size=shape) * 40 + 7).astype(dtype)
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, shape, dtype, endpoint=True)


@settings(max_examples=60, deadline=None)
@given(
    dtype=st.sampled_from(DTYPES),
    channels=st.integers(1, 8),
    count=st.integers(1, 3),
    kind=st.sampled_from(["npy", "tif"]),
    order=st.sampled_from("<>"),
)
def test_arrays_come_back_as_what_they_were(tmp_path_factory, dtype, channels, count, kind, order):
    array = samples_of(dtype, (count, SIDE, SIDE + 16, channels))
    path = tmp_path_factory.mktemp("arrays") / f"stack.{kind}"
    if kind == "npy":
        np.save(path, array.astype(array.dtype.newbyteorder(order)))
    else:
        layout = {"planarconfig": "contig"} if channels > 1 else {}
        tifffile.imwrite(path, array, photometric="minisblack", byteorder=order, **layout)
    if kind == "tif" and dtype == "bool" and channels > 1:
        with pytest.raises(UserError, match="channels of 1 bit: save it with 8 bits"):
            load(path)
        return
    frames = load(path)
    assert frames.frames_found == count and frames.is_video == (count > 1) and frames.notes == ()
    assert frames.pixels.shape == (count, SIDE, SIDE + 16, channels)
    assert frames.format.kind == {"npy": "npy", "tif": "tiff"}[kind] and frames.format.dtype == dtype
    if dtype == "uint8":
        assert frames.pixels.dtype == np.uint8
        np.testing.assert_array_equal(frames.pixels, array)
        return
    assert frames.pixels.dtype == np.float32
    assert frames.pixels.min() == -1 and frames.pixels.max() == 1
    back = frames.format.to_source(frames.pixels)
    assert back.dtype == np.dtype(dtype)
    span = float(array.max()) - float(array.min())
    # float32 in [-1,1] resolves a range into 2^24 steps; float16 itself into far fewer.
    tolerance = span * 2**-23 + (np.abs(array).max() * 2**-10 if dtype == "float16" else 0)
    np.testing.assert_allclose(back.astype(float), array.astype(float), rtol=0, atol=tolerance)


@given(st.sampled_from(DTYPES), st.floats(-1e4, 1e4), st.floats(0.01, 1e4))
def test_to_source_stays_in_the_range(dtype, low, span):
    if np.dtype(dtype).kind in "iub":
        limits = (0, 1) if dtype == "bool" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        low, high = sorted(int(np.clip(round(value), *limits)) for value in (low, low + span))
    else:
        high = low + span
    pixel_format = PixelFormat("npy", dtype, float(low), float(high))
    images = np.float32([-3, -1, -0.2, 0, 0.7, 1, 3])
    values = pixel_format.to_source(images).astype(float)
    slack = 1e-3 * max(abs(low), abs(high)) if dtype == "float16" else 1e-6 * max(abs(low), abs(high))
    assert values.min() >= low - slack and values.max() <= high + slack
    assert (np.diff(values) >= 0).all()
    np.testing.assert_allclose(values[[1, 5]], [low, high], atol=slack)


def test_uint8_round_trip():
    every = np.arange(256, dtype=np.uint8)
    pixel_format = PixelFormat("picture", "uint8", 0.0, 255.0)
    np.testing.assert_array_equal(pixel_format.to_source(every.astype(np.float32) / 127.5 - 1), every)


def test_resize_of_deep_samples(tmp_path):
    """Channel by channel in floating point: no rounding to 8 bits on the way."""
    array = samples_of("uint16", (200, 300, 5))
    np.save(tmp_path / "five.npy", array)
    frames = load(tmp_path / "five.npy", max_size=100)
    height, width = frames.pixels.shape[1:3]
    low, high = float(array.min()), float(array.max())
    for band in range(5):
        scaled = Image.fromarray(array[:, :, band].astype(np.float32)).resize(
            (width, height), Image.Resampling.BILINEAR
        )
        expected = (np.asarray(scaled) - low) / (high - low) * 2 - 1
        np.testing.assert_allclose(frames.pixels[0, :, :, band], expected, atol=1e-5)


def test_gray_array_without_channel_axis(tmp_path):
    array = samples_of("float32", (SIDE, SIDE))
    np.save(tmp_path / "gray.npy", array)
    tifffile.imwrite(tmp_path / "gray.tif", array)
    for name in ("gray.npy", "gray.tif"):
        frames = load(tmp_path / name)
        assert frames.pixels.shape == (1, SIDE, SIDE, 1) and not frames.is_video
        np.testing.assert_allclose(frames.format.to_source(frames.pixels)[0, :, :, 0], array, atol=1e-4)


def test_folder_of_arrays_shares_one_range(tmp_path):
    for number in range(3):
        np.save(tmp_path / f"{number}.npy", np.full((SIDE, SIDE, 2), number * 10, np.int16) + np.int16([0, 5]))
    frames = load(tmp_path)
    assert (frames.format.low, frames.format.high) == (0, 25) and frames.is_video
    assert frames.format.to_source(frames.pixels)[:, 3, 3].tolist() == [[0, 5], [10, 15], [20, 25]]


def test_folder_of_tiffs(tmp_path):
    stack = samples_of("uint8", (3, SIDE, SIDE, 4))
    for number, frame in enumerate(stack):
        tifffile.imwrite(tmp_path / f"{number}.tif", frame, photometric="minisblack", planarconfig="contig")
    np.testing.assert_array_equal(load(tmp_path).pixels, stack)
    tifffile.imwrite(tmp_path / "3.tif", stack, photometric="minisblack")
    with pytest.raises(UserError, match=r"3\.tif holds 3 frames; in a folder every file must hold one"):
        load(tmp_path)


def test_stack_is_thinned(tmp_path):
    np.save(
        tmp_path / "stack.npy",
        np.arange(20, dtype=np.uint8)[:, None, None, None] * np.ones((1, SIDE, SIDE, 1), np.uint8),
    )
    frames = load(tmp_path / "stack.npy", max_frames=3)
    assert frames.pixels[:, 0, 0, 0].tolist() == [0, 10, 19] and frames.frames_found == 20
    assert "3 of 20 frames are used" in frames.notes[0]


@pytest.mark.parametrize("compression", ["zlib", "lzw", "packbits", "lzma", "zstd"])
def test_compressed_tiff(tmp_path, compression):
    array = samples_of("uint16", (SIDE, SIDE, 3))
    tifffile.imwrite(tmp_path / "c.tif", array, photometric="rgb", compression=compression, predictor=False)
    frames = load(tmp_path / "c.tif")
    np.testing.assert_array_equal(frames.format.to_source(frames.pixels)[0], array)


def test_layouts_of_tiff(tmp_path):
    array = samples_of("uint8", (SIDE, SIDE + 16, 3))
    planar = array.transpose(2, 0, 1)
    tifffile.imwrite(tmp_path / "planar.tif", planar, photometric="rgb", planarconfig="separate")
    tifffile.imwrite(tmp_path / "tiled.tif", array, photometric="rgb", tile=(32, 32))
    tifffile.imwrite(tmp_path / "big.tif", array, photometric="rgb", bigtiff=True)
    tifffile.imwrite(tmp_path / "imagej.tif", planar, imagej=True, metadata={"axes": "CYX"})
    tifffile.imwrite(tmp_path / "ome.ome.tif", planar, metadata={"axes": "CYX"})
    Image.fromarray(array).save(tmp_path / "pillow.tif", compression="tiff_lzw")
    for name in ("planar.tif", "tiled.tif", "big.tif", "imagej.tif", "ome.ome.tif", "pillow.tif"):
        np.testing.assert_array_equal(load(tmp_path / name).pixels[0], array, err_msg=name)
    # Written without a word on what the axes are.
    two = samples_of("uint8", (SIDE, SIDE + 16, 2))
    tifffile.imwrite(tmp_path / "unsaid.tif", two, photometric="minisblack")
    np.testing.assert_array_equal(load(tmp_path / "unsaid.tif").pixels[0], two)
    with tifffile.TiffWriter(tmp_path / "two.tif") as tiff:
        tiff.write(array, photometric="rgb")
        tiff.write(array[::2, ::2], photometric="rgb")
    frames = load(tmp_path / "two.tif")
    np.testing.assert_array_equal(frames.pixels[0], array)
    assert "2 series of pictures, only the first is used" in frames.notes[0]
    pages = samples_of("uint8", (4, SIDE, SIDE + 16))
    tifffile.imwrite(tmp_path / "pages.tif", pages, photometric="minisblack")
    np.testing.assert_array_equal(load(tmp_path / "pages.tif").pixels[..., 0], pages)


def test_palette_and_inverted_tiff(tmp_path):
    indices = samples_of("uint8", (SIDE, SIDE))
    colours = samples_of("uint8", (256, 3), seed=1)
    tifffile.imwrite(tmp_path / "palette.tif", indices, colormap=colours.T.astype(np.uint16) * 257)
    np.testing.assert_array_equal(load(tmp_path / "palette.tif").pixels[0], colours[indices])
    tifffile.imwrite(tmp_path / "inverted.tif", indices, photometric="miniswhite")
    np.testing.assert_array_equal(load(tmp_path / "inverted.tif").pixels[0, :, :, 0], 255 - indices)


def test_large_tiff_goes_through_a_file(tmp_path, monkeypatch):
    from siv_jax.data import arrays

    stack = samples_of("uint8", (3, SIDE, SIDE, 3))
    tifffile.imwrite(tmp_path / "stack.tif", stack, photometric="rgb", compression="zlib")
    monkeypatch.setattr(arrays, "_TIFF_IN_MEMORY", 1000)
    np.testing.assert_array_equal(load(tmp_path / "stack.tif").pixels, stack)
    monkeypatch.setattr(arrays, "_TIFF_LIMIT", 2000)
    with pytest.raises(UserError, match=r"stack\.tif holds .* GiB"):
        load(tmp_path / "stack.tif")


class Surprise:
    """Would leave a file behind if it were unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


EYE = np.eye(SIDE)
COUNTED = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)
REFUSED = {
    "NaN": (np.full((SIDE, SIDE), np.nan), "holds NaN or infinite values"),
    "infinite": (np.where(EYE > 0, np.inf, 0), "holds NaN or infinite values"),
    "complex": (np.ones((SIDE, SIDE), complex), "samples of type complex128"),
    "text": (np.full((SIDE, SIDE), "a"), "samples of type <U1"),
    "flat": (np.full((SIDE, SIDE), 3.5), "holds the single value 3.5 everywhere"),
    "huge": (np.where(EYE > 0, 1.7e308, -1.7e308), "too far apart"),
    "long": (COUNTED * 2**51, "too far apart"),
    "line": (np.ones(SIDE), r"shape \(64,\); it must be \[H,W\]"),
    "scalar": (np.ones(()), r"shape \(\)"),
    "channels first": (np.ones((3, SIDE, SIDE)), r"shape \(3, 64, 64\); it must be"),
    "many channels": (np.ones((SIDE, SIDE, 9)), "1 to 8 channels"),
    "no frames": (np.ones((0, SIDE, SIDE, 3)), "holds no frames"),
    "no channels": (np.ones((SIDE, SIDE, 0)), "has 0 channels"),
    "no pixels": (np.ones((0, SIDE)), "has no pixels"),
    "small": (np.eye(20), r"bad\.npy: a picture of 20x20"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_arrays_that_are_refused(tmp_path, case):
    array, message = REFUSED[case]
    np.save(tmp_path / "bad.npy", array)
    with pytest.raises(UserError, match=message) as refusal:
        load(tmp_path / "bad.npy")
    assert "bad.npy" in str(refusal.value) and "\n" not in str(refusal.value)


def test_pickles_are_never_loaded(tmp_path):
    array = np.empty((SIDE, SIDE), object)
    array[:] = Surprise(tmp_path / "surprise")
    np.save(tmp_path / "objects.npy", array, allow_pickle=True)
    with pytest.raises(UserError, match=r"objects\.npy cannot be read"):
        load(tmp_path / "objects.npy")
    assert not (tmp_path / "surprise").exists()


def test_arrays_that_do_not_go_together(tmp_path):
    np.save(tmp_path / "a.npy", np.eye(SIDE))
    np.save(tmp_path / "b.npy", np.eye(SIDE, dtype=np.int8))
    with pytest.raises(UserError, match=r"dtype float64 in .*a\.npy, int8 in .*b\.npy"):
        load(tmp_path)
    (tmp_path / "b.npy").unlink()
    Image.new("RGB", (SIDE, SIDE)).save(tmp_path / "c.png")
    with pytest.raises(UserError, match=r"mixes pictures and arrays: .*c\.png and .*a\.npy"):
        load(tmp_path)
