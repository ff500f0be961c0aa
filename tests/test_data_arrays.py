"""Arrays: .npy and TIFF, read with their own type and channels and written back as what came in."""

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from opened import load
from PIL import Image, ImageOps

from siv_jax.data import PixelFormat, tiffs
from siv_jax.errors import UserError

SIDE = 64
DTYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float16", "float32", "float64", "bool"]


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
    assert frames.source.frames_found == frames.source.num_frames == count and frames.notes == ()
    assert frames.pixels.shape == (count, SIDE, SIDE + 16, channels)
    assert frames.source.format.kind == {"npy": "npy", "tif": "tiff"}[kind] and frames.source.format.dtype == dtype
    if dtype == "uint8":
        assert frames.pixels.dtype == np.uint8
        np.testing.assert_array_equal(frames.pixels, array)
        return
    assert frames.pixels.dtype == np.float32
    assert frames.pixels.min() == -1 and frames.pixels.max() == 1
    back = frames.source.format.to_source(frames.pixels)
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
    height, width = 64, 96
    frames = load(tmp_path / "five.npy", size=(height, width))
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
        assert frames.pixels.shape == (1, SIDE, SIDE, 1) and frames.source.num_frames == 1
        np.testing.assert_allclose(frames.source.format.to_source(frames.pixels)[0, :, :, 0], array, atol=1e-4)


def test_folder_of_arrays_shares_one_range(tmp_path):
    for number in range(3):
        np.save(tmp_path / f"{number}.npy", np.full((SIDE, SIDE, 2), number * 10, np.int16) + np.int16([0, 5]))
    frames = load(tmp_path)
    assert (frames.source.format.low, frames.source.format.high) == (0, 25) and frames.source.num_frames == 3
    assert frames.source.format.to_source(frames.pixels)[:, 3, 3].tolist() == [[0, 5], [10, 15], [20, 25]]


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
    assert frames.pixels[:, 0, 0, 0].tolist() == [0, 10, 19] and frames.source.frames_found == 20
    assert "3 of 20 frames are used" in frames.notes[0]


@pytest.mark.parametrize("compression", ["zlib", "lzw", "packbits", "lzma", "zstd"])
def test_compressed_tiff(tmp_path, compression):
    array = samples_of("uint16", (SIDE, SIDE, 3))
    tifffile.imwrite(tmp_path / "c.tif", array, photometric="rgb", compression=compression, predictor=False)
    frames = load(tmp_path / "c.tif")
    np.testing.assert_array_equal(frames.source.format.to_source(frames.pixels)[0], array)


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


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_tiff_is_put_upright(tmp_path, orientation):
    array = samples_of("uint8", (SIDE, SIDE + 16, 3))
    tags = [(274, "H", 1, orientation, True)]
    tifffile.imwrite(tmp_path / "turned.tif", array, photometric="rgb", extratags=tags)
    with Image.open(tmp_path / "turned.tif") as image:
        upright = np.asarray(ImageOps.exif_transpose(image))
    frames = load(tmp_path / "turned.tif")
    assert frames.source.size == upright.shape[:2]
    np.testing.assert_array_equal(frames.pixels[0], upright)


@pytest.mark.parametrize(
    ("photometric", "channels", "extra", "mode"),
    [
        ("rgb", 3, [], "RGB"),
        ("rgb", 4, ["unassalpha"], "RGBA"),
        ("rgb", 4, ["unspecified"], None),
        ("rgb", 6, ["unassalpha", "unspecified", "unspecified"], None),
        ("separated", 4, [], "CMYK"),
        ("cielab", 3, [], "LAB"),
        ("minisblack", 1, [], "L"),
        ("minisblack", 2, ["unassalpha"], "LA"),
        ("minisblack", 5, ["unspecified"] * 4, None),
    ],
)
def test_samples_have_the_tags_of_the_tiff_that_was_learnt(tmp_path, photometric, channels, extra, mode):
    array = samples_of("uint8", (SIDE, SIDE + 16, channels))
    source, sample = tmp_path / "source.tif", tmp_path / "sample.tif"
    options = {"photometric": photometric, "extrasamples": extra or None}
    options |= {"planarconfig": "contig"} if channels > 1 else {}
    tifffile.imwrite(source, array if channels > 1 else array[..., 0], **options)
    frames = load(source)
    with open(sample, "wb") as file:
        tiffs.write_tiff(file, frames.pixels[0], frames.source.format)
    for path in (source, sample):
        with tifffile.TiffFile(path) as tiff:
            page = tiff.pages[0]
            assert page.photometric.name.lower() == photometric and page.samplesperpixel == channels
            assert [tiffs._EXTRA[int(kind)] for kind in page.extrasamples] == extra
            np.testing.assert_array_equal(page.asarray().reshape(array.shape), array)
        if mode is not None:
            with Image.open(path) as image:
                assert image.mode == mode
    if photometric == "cielab":  # a and b, which are stored as signed bytes, do not jump at gray
        np.testing.assert_array_equal(frames.pixels[0, :, :, 1:].astype(int) - 128, array.view(np.int8)[..., 1:])


def test_tags_that_do_not_account_for_the_channels(tmp_path):
    array = samples_of("uint16", (SIDE, SIDE, 4))
    tifffile.imwrite(tmp_path / "unsaid.tif", array, photometric="minisblack")
    frames = load(tmp_path / "unsaid.tif")
    assert (frames.source.format.photometric, frames.source.format.extrasamples) == ("minisblack", "")
    with open(tmp_path / "sample.tif", "wb") as file:
        tiffs.write_tiff(file, frames.source.format.to_source(frames.pixels)[0], frames.source.format)
    np.testing.assert_array_equal(load(tmp_path / "sample.tif").pixels, frames.pixels)


def test_large_tiff_goes_through_a_file(tmp_path, monkeypatch):
    stack = samples_of("uint8", (3, SIDE, SIDE, 3))
    tifffile.imwrite(tmp_path / "stack.tif", stack, photometric="rgb", compression="zlib")
    monkeypatch.setattr(tiffs, "_IN_MEMORY", 1000)
    np.testing.assert_array_equal(load(tmp_path / "stack.tif").pixels, stack)
    monkeypatch.setattr(tiffs, "_LIMIT", 2000)
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
    "huge": (np.where(EYE > 0, 1.7e308, -1.7e308), "too far apart"),
    "long": (COUNTED * 2**51, "too far apart"),
    "line": (np.ones(SIDE), r"shape \(64,\); it must be \[H,W\]"),
    "scalar": (np.ones(()), r"shape \(\)"),
    "channels first": (np.ones((3, SIDE, SIDE)), r"shape \(3, 64, 64\); it must be"),
    "many channels": (np.ones((SIDE, SIDE, 9)), "1 to 8 channels"),
    "no frames": (np.ones((0, SIDE, SIDE, 3)), "holds no frames"),
    "no channels": (np.ones((SIDE, SIDE, 0)), "has 0 channels"),
    "no pixels": (np.ones((0, SIDE)), "has no pixels"),
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
    with pytest.raises(UserError, match=r"objects\.npy holds pickled Python objects.*allow_pickle=False"):
        load(tmp_path / "objects.npy")
    (tmp_path / "dumped.npy").write_bytes(array.dumps())
    with pytest.raises(UserError, match=r"dumped\.npy holds pickled Python objects.*allow_pickle=False"):
        load(tmp_path / "dumped.npy")
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


def geotiff(path, array, nodata):
    """As GDAL writes it: the value that stands for missing samples is a text in tag 42113."""
    tifffile.imwrite(path, array, photometric="minisblack", extratags=[(42113, "s", 0, str(nodata), True)])


@pytest.mark.parametrize(
    ("dtype", "nodata"),
    [
        ("float32", -9999),
        ("float32", -3.4028234663852886e38),
        ("float32", "nan"),
        ("float64", -1.7976931348623157e308),
        ("int16", -32768),
        ("uint16", 0),
        ("uint8", 255),
    ],
)
def test_missing_samples_of_a_geotiff(tmp_path, dtype, nodata):
    heights = np.linspace(120, 200, SIDE * SIDE).reshape(SIDE, SIDE).astype(dtype)
    holes = heights.copy()
    holes[5:30, 7:20] = np.array(float(nodata)).astype(dtype)
    geotiff(tmp_path / "dem.tif", holes, nodata)
    frames = load(tmp_path / "dem.tif")
    assert "dem.tif: missing samples, marked by" in frames.notes[0] and "lowest value of the others" in frames.notes[0]
    assert len(frames.notes) == 1
    expected = heights.copy()
    expected[5:30, 7:20] = heights[0, 0]
    values = frames.pixels if dtype == "uint8" else frames.source.format.to_source(frames.pixels)
    np.testing.assert_allclose(values[0, :, :, 0], expected, atol=1e-4)
    if dtype != "uint8":
        assert (frames.source.format.low, frames.source.format.high) == (120, 200)


def test_geotiff_without_missing_samples(tmp_path):
    heights = samples_of("float32", (SIDE, SIDE))
    geotiff(tmp_path / "dem.tif", heights, -9999)
    frames = load(tmp_path / "dem.tif")
    assert frames.notes == ()
    np.testing.assert_allclose(frames.source.format.to_source(frames.pixels)[0, :, :, 0], heights, atol=1e-4)
    geotiff(tmp_path / "sea.tif", np.full((SIDE, SIDE), -9999, np.float32), -9999)
    with pytest.raises(UserError, match=r"sea\.tif holds nothing but its value for missing samples, -9999"):
        load(tmp_path / "sea.tif")


@pytest.mark.parametrize("nodata", ["abc", "", "1 2"])
def test_a_geotiff_whose_value_for_missing_samples_is_no_number(tmp_path, nodata):
    heights = samples_of("float32", (SIDE, SIDE))
    geotiff(tmp_path / "dem.tif", heights, nodata)
    frames = load(tmp_path / "dem.tif")
    assert frames.notes == (
        f"dem.tif: tag 42113 (GDAL_NODATA) is {nodata!r}, no number: no samples are taken for missing",
    )
    np.testing.assert_allclose(frames.source.format.to_source(frames.pixels)[0, :, :, 0], heights, atol=1e-4)


@pytest.mark.parametrize("mark", [-9999.0, -3.4e38, 9.96921e36])
def test_values_that_look_like_missing_samples_are_said(tmp_path, mark):
    heights = samples_of("float32", (3, SIDE, SIDE, 1))
    low, high = heights.min(), heights.max()
    heights[1, 5:30] = mark
    np.save(tmp_path / "dem.npy", heights)
    frames = load(tmp_path / "dem.npy")
    assert len(frames.notes) == 1
    assert f"all values but {mark:g} lie between {low:g} and {high:g}" in frames.notes[0]
    assert f"if {mark:g} stands for missing samples, replace it first" in frames.notes[0]


def test_constant_frames_come_back_as_what_they_were(tmp_path):
    np.save(tmp_path / "flat.npy", np.full((2, SIDE, SIDE, 1), 3.5))
    frames = load(tmp_path / "flat.npy")
    assert frames.notes == ("flat.npy: every pixel is the same: there is nothing to learn",)
    assert np.isfinite(frames.pixels).all() and (frames.source.format.to_source(frames.pixels) == 3.5).all()
