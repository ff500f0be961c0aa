"""Pictures and folders of frames."""

import io
import json
import re
import struct
import subprocess
import sys
import warnings
import zlib

import imagecodecs
import numpy as np
import opened
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from siv_jax.config import DataConfig
from siv_jax.data import open_source
from siv_jax.data.folders import natural_key
from siv_jax.data.selection import choose
from siv_jax.errors import UserError

BACKGROUND = (10, 200, 30)


def load(path, **settings):
    return opened.load(path, background=BACKGROUND, **settings)


def pixels_of(path, **settings):
    return load(path, **settings).pixels


def noise(height, width, channels=3, seed=0):
    samples = np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)
    return samples[:, :, 0] if channels == 1 else samples


def shrunk(rgb, height, width):
    """What the resize from the source straight to the training resolution must give."""
    return np.asarray(Image.fromarray(rgb).resize((width, height), Image.Resampling.BILINEAR))


SIDE = 64


def test_golden_picture(shared):
    golden = np.load(shared / "golden" / "B.npz")["real/image_2"][0].transpose(1, 2, 0)
    frames = load(shared / "data" / "image" / "bmx.jpg", size=golden.shape[:2])
    assert frames.pixels.dtype == np.uint8 and frames.pixels.shape == (1, *golden.shape)
    np.testing.assert_allclose(frames.pixels[0] / 127.5 - 1, golden, atol=1e-6)
    assert frames.source.num_frames == 1 and frames.source.frames_found == 1 and frames.source.size == (480, 854)
    assert frames.source.name == "bmx.jpg" and frames.notes == ()


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(48, 150),
    width=st.integers(48, 150),
    kind=st.sampled_from(["png", "bmp", "ppm", "webp", "jp2", "gif", "tif", "npy"]),
    mode=st.sampled_from(["RGB", "L", "1"]),
)
def test_lossless_formats_and_sizes(tmp_path_factory, height, width, kind, mode):
    import tifffile

    image = Image.fromarray(noise(height, width)).convert(mode)
    folder = tmp_path_factory.mktemp("lossless")
    path = folder / f"picture.{kind}"
    samples = np.asarray(image.convert("RGB"))
    if kind == "npy":
        np.save(path, samples)
    elif kind == "tif":
        tifffile.imwrite(path, samples)
    elif kind == "gif":
        image = image.convert("RGB").quantize(50)
        samples = np.asarray(image.convert("RGB"))
        image.save(path)
    else:
        options = {"webp": {"lossless": True}, "jp2": {"irreversible": False}}.get(kind, {})
        writable = image.convert("L") if kind in ("jp2", "ppm") and mode == "1" else image
        writable.save(path, **options)
    frames = load(path)
    np.testing.assert_array_equal(frames.pixels[0], samples)
    small = load(path, size=(height // 2, width // 3)).pixels[0]
    np.testing.assert_array_equal(small, shrunk(samples, height // 2, width // 3))
    assert frames.source.size == (height, width) and frames.notes == ()
    assert frames.source.format.to_source(frames.pixels / np.float32(127.5) - 1).tobytes() == frames.pixels.tobytes()


def test_exif_orientation(tmp_path):
    upright = noise(64, 96)
    # Orientation -> what a camera that writes it has stored of the upright picture.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright, 1),
        7: np.rot90(upright, 2).swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }
    for orientation, samples in stored.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = tmp_path / f"{orientation}.png"
        Image.fromarray(np.ascontiguousarray(samples)).save(path, exif=exif)
        np.testing.assert_array_equal(pixels_of(path)[0], upright, err_msg=f"orientation {orientation}")


def test_alpha_is_laid_over_the_background(tmp_path):
    rgba = noise(SIDE, SIDE, 4)
    rgba[:8, :, 3] = 0
    rgba[8:16, :, 3] = 255
    Image.fromarray(rgba).save(tmp_path / "rgba.png")
    frames = load(tmp_path / "rgba.png")
    alpha = rgba[:, :, 3:] / 255
    np.testing.assert_allclose(frames.pixels[0], rgba[:, :, :3] * alpha + np.array(BACKGROUND) * (1 - alpha), atol=1)
    assert len(frames.notes) == 1 and "data.background" in frames.notes[0]

    gray = noise(SIDE, SIDE, 1)
    Image.merge("LA", [Image.fromarray(gray), Image.fromarray(rgba[:, :, 3])]).save(tmp_path / "la.png")
    np.testing.assert_allclose(
        pixels_of(tmp_path / "la.png")[0],
        gray[:, :, None] * alpha + np.array(BACKGROUND) * (1 - alpha),
        atol=1,
    )


def test_single_transparent_colours(tmp_path):
    samples = noise(SIDE, SIDE) // 128 * 200
    Image.fromarray(samples).save(tmp_path / "rgb.png", transparency=(200, 0, 200))
    expected = np.where((samples == (200, 0, 200)).all(2, keepdims=True), np.uint8(BACKGROUND), samples)
    np.testing.assert_array_equal(pixels_of(tmp_path / "rgb.png")[0], expected)

    palette = Image.fromarray(samples).quantize(8)
    indices, colours = np.asarray(palette), np.asarray(palette.convert("RGB"))
    for kind in ("png", "gif"):
        palette.save(tmp_path / f"p.{kind}", transparency=5)
        expected = np.where((indices == 5)[:, :, None], np.uint8(BACKGROUND), colours)
        np.testing.assert_array_equal(pixels_of(tmp_path / f"p.{kind}")[0], expected, err_msg=kind)


def test_opaque_alpha_changes_nothing(tmp_path):
    samples = noise(SIDE, SIDE)
    Image.fromarray(samples).convert("RGBA").save(tmp_path / "opaque.png")
    frames = load(tmp_path / "opaque.png")
    np.testing.assert_array_equal(frames.pixels[0], samples)
    assert frames.notes == ()


def test_deep_gray_is_scaled_by_its_range(tmp_path):
    values = np.linspace(1000, 5000, SIDE * SIDE).reshape(SIDE, SIDE).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    frames = load(tmp_path / "deep.png")
    expected = np.rint((values - 1000.0) / 4000 * 255)
    np.testing.assert_array_equal(frames.pixels[0], np.repeat(expected[:, :, None], 3, axis=2))
    assert "1000 to 5000" in frames.notes[0]


def test_deep_gray_frames_share_one_range(tmp_path):
    for number in range(2):
        values = np.full((SIDE, SIDE), 1000 * (number + 1), np.uint16)
        values[0, 0] = 0
        Image.fromarray(values).save(tmp_path / f"{number}.png")
    assert pixels_of(tmp_path)[:, 5, 5, 0].tolist() == [128, 255]


def swapped_profile():
    """An sRGB profile whose red and blue primaries have changed places."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    entries = {
        bytes(profile[at : at + 4]): at for at in range(132, 132 + 12 * struct.unpack(">I", profile[128:132])[0], 12)
    }
    red, blue = entries[b"rXYZ"], entries[b"bXYZ"]
    profile[red : red + 4], profile[blue : blue + 4] = b"bXYZ", b"rXYZ"
    return bytes(profile)


def ink_profile():
    """A CMYK profile in which only black ink is seen: lightness falls from 100 to 0 with it."""
    lightness = [[255 if not index & 1 else 0, 128, 128] for index in range(16)]
    ramp = bytes(range(256))
    identity = struct.pack(">9i", *(65536 if i % 4 == 0 else 0 for i in range(9)))
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + identity + ramp * 4 + b"".join(map(bytes, lightness)) + ramp * 3
    table += b"\0" * (-len(table) % 4)
    header = struct.pack(">I4sI4s4s4s", 0, b"lcms", 0x02400000, b"prtr", b"CMYK", b"Lab ")
    header += struct.pack(">6H4s", 2020, 1, 1, 0, 0, 0, b"acsp") + b"\0" * 28
    header += struct.pack(">3I", 0xF6D6, 0x10000, 0xD32D) + b"\0" * 48
    tags = struct.pack(">I4sII", 1, b"A2B0", 144, len(table))
    return struct.pack(">I", 144 + len(table)) + header[4:] + tags + table


def test_colour_profiles_become_srgb(tmp_path):
    samples = noise(SIDE, SIDE)
    Image.fromarray(samples).save(tmp_path / "swapped.png", icc_profile=swapped_profile())
    frames = load(tmp_path / "swapped.png")
    np.testing.assert_allclose(frames.pixels[0].astype(int), samples[:, :, ::-1], atol=2)

    rgba = np.dstack([samples, np.full((SIDE, SIDE), 128, np.uint8)])
    Image.fromarray(rgba).save(tmp_path / "alpha.png", icc_profile=swapped_profile())
    # A gray picture with the profile of a colour picture.
    gray = Image.fromarray(samples[:, :, 0])
    alpha = Image.new("L", gray.size, 128)
    Image.merge("LA", [gray, alpha]).save(tmp_path / "gray.png", icc_profile=swapped_profile())
    assert "colour profile cannot be used" in load(tmp_path / "gray.png").notes[0]

    over = samples[:, :, ::-1] * (128 / 255) + np.array(BACKGROUND) * (127 / 255)
    np.testing.assert_allclose(pixels_of(tmp_path / "alpha.png")[0], over, atol=2)


def test_cmyk(tmp_path):
    inks = np.zeros((SIDE, SIDE, 4), np.uint8)
    inks[:, : SIDE // 2, 0] = 255
    image = Image.frombytes("CMYK", (SIDE, SIDE), inks.tobytes())
    image.save(tmp_path / "plain.jpg", quality=100)
    left, right = pixels_of(tmp_path / "plain.jpg")[0, 5, [5, -5]].astype(int)
    np.testing.assert_allclose(left, (0, 255, 255), atol=2)
    np.testing.assert_allclose(right, (255, 255, 255), atol=2)
    image.save(tmp_path / "profile.jpg", quality=100, icc_profile=ink_profile())
    frames = load(tmp_path / "profile.jpg")
    np.testing.assert_allclose(frames.pixels[0].astype(int), 255, atol=3)
    assert not any("profile cannot be used" in note for note in frames.notes)


def test_damaged_colour_profile_is_said(tmp_path):
    samples = noise(SIDE, SIDE)
    Image.fromarray(samples).save(tmp_path / "bad.png", icc_profile=b"no profile" * 20)
    frames = load(tmp_path / "bad.png")
    np.testing.assert_array_equal(frames.pixels[0], samples)
    assert "colour profile cannot be used" in frames.notes[0]


def test_what_pillow_warns_about_becomes_a_note(tmp_path):
    samples = noise(SIDE, SIDE)
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "x" * 40
    Image.fromarray(samples).save(buffer, "JPEG", exif=exif)
    content = bytearray(buffer.getvalue())
    # The description is said to lie far behind the end of the EXIF block.
    entry = content.index(b"\x01\x0e", content.index(b"Exif"))
    content[entry + 8 : entry + 12] = b"\0\0\xff\xf0"
    (tmp_path / "exif.jpg").write_bytes(content)
    frames = load(tmp_path / "exif.jpg")
    assert len(frames.notes) == 1 and frames.notes[0].startswith("exif.jpg: ")


def test_second_picture_of_a_camera_file_is_no_clip(tmp_path):
    first, second = Image.fromarray(noise(SIDE, SIDE)), Image.fromarray(noise(SIDE, SIDE, seed=1))
    first.save(tmp_path / "pair.jpg", "MPO", save_all=True, append_images=[second])
    frames = load(tmp_path / "pair.jpg")
    assert frames.pixels.shape[0] == 1 and frames.source.num_frames == 1


def test_bus_folder(shared):
    frames = load(shared / "data" / "video" / "bus", size=(192, 320))
    assert frames.pixels.shape == (80, 192, 320, 3) and frames.source.num_frames == frames.source.frames_found == 80
    assert frames.source.name == "bus" and frames.source.size == (480, 854) and frames.notes == ()
    with Image.open(shared / "data" / "video" / "bus" / "00041.jpg") as image:
        np.testing.assert_array_equal(frames.pixels[41], shrunk(np.asarray(image.convert("RGB")), 192, 320))


def numbered_frames(folder, numbers, name="frame{}.png", side=SIDE):
    for number in numbers:
        Image.new("RGB", (side, side), (number, 0, 0)).save(folder / name.format(number))


def test_folder_in_natural_order(tmp_path):
    numbered_frames(tmp_path, [10, 9, 2, 100, 1])
    (tmp_path / "notes.txt").write_text("shot in the morning")
    (tmp_path / ".DS_Store").write_bytes(b"\0\0")
    (tmp_path / "more").mkdir()
    frames = load(tmp_path)
    assert frames.pixels[:, 0, 0, 0].tolist() == [1, 2, 9, 10, 100]
    assert len(frames.notes) == 1 and "2 entries" in frames.notes[0] and "notes.txt" in frames.notes[0]
    assert "DS_Store" not in frames.notes[0]


@given(st.lists(st.text(alphabet="ab0129._ é²", min_size=1), min_size=2))
def test_natural_order_is_total(names):
    ordered = sorted(names, key=natural_key)
    names.reverse()
    assert sorted(names, key=natural_key) == ordered


def test_folder_with_one_picture_is_a_picture(tmp_path):
    numbered_frames(tmp_path, [7])
    frames = load(tmp_path)
    assert frames.pixels.shape[0] == 1 and frames.source.num_frames == 1


def test_frames_of_different_sizes_become_squares_of_the_mean_side(tmp_path):
    Image.new("RGB", (100, 60)).save(tmp_path / "a.png")
    Image.new("RGB", (80, 120)).save(tmp_path / "b.png")
    frames = load(tmp_path)
    assert frames.source.size == (90, 90) and [frame.shape for frame in frames.source.frames()] == [(90, 90, 3)] * 2
    assert "squares of the mean side, 90x90" in frames.notes[0]


def test_stride_and_even_thinning(tmp_path):
    numbered_frames(tmp_path, range(30))
    frames = load(tmp_path, frame_stride=4)
    assert frames.pixels[:, 0, 0, 0].tolist() == [0, 4, 8, 12, 16, 20, 24, 28]
    assert frames.source.frames_found == 30 and "8 of 30 frames are used" in frames.notes[0]
    frames = load(tmp_path, max_frames=4)
    assert frames.pixels[:, 0, 0, 0].tolist() == [0, 10, 19, 29]
    assert "4 of 30" in frames.notes[0] and "data.max_frames is 4" in frames.notes[0]


@given(st.integers(1, 400), st.integers(1, 30), st.integers(1, 120))
def test_choice_is_even(count, stride, most):
    chosen = choose(count, DataConfig(frame_stride=stride, max_frames=most))
    strided = range(0, count, stride)
    assert len(chosen) == min(len(strided), most)
    assert chosen[0] == 0 and set(chosen) <= set(strided)
    gaps = np.diff(chosen) // stride
    if most > 1 and len(chosen) > 1:
        assert chosen[-1] == strided[-1] and gaps.min() >= 1 and gaps.max() - gaps.min() <= 1


def test_alpha_of_many_frames_is_said_once(tmp_path):
    for number in range(5):
        Image.new("RGBA", (SIDE, SIDE), (9, number, 9, 100)).save(tmp_path / f"{number}.png")
    frames = load(tmp_path)
    assert len(frames.notes) == 1 and "and 4 more" in frames.notes[0]


def test_reading_pictures_needs_no_heavy_package():
    code = (
        "import sys, json; from siv_jax.data import open_source; "
        "print(json.dumps([m for m in ('av', 'tifffile', 'tensorflow_datasets', 'jax') if m in sys.modules]))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(result.stdout) == []


@pytest.mark.parametrize("size", [(20000, 11000), (60000, 60000)])
def test_decompression_bombs_are_refused(tmp_path, size):
    header = struct.pack(">IIBBBBB", *size, 1, 0, 0, 0, 0)
    chunk = struct.pack(">I", len(header)) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    data = zlib.compress(b"\0" * 1000)
    rest = struct.pack(">I", len(data)) + b"IDAT" + data + struct.pack(">I", zlib.crc32(b"IDAT" + data))
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + rest)
    with pytest.raises(UserError, match=r"bomb\.png has .*pixels.*scale it down first"):
        load(tmp_path / "bomb.png")


def deep_file(path, samples):
    """Writes uint16 [H,W] or [H,W,C] as the format that the suffix says."""
    if path.suffix == ".ppm":
        kind = b"P6" if samples.ndim == 3 else b"P5"
        path.write_bytes(kind + b" %d %d 65535\n" % samples.shape[1::-1] + samples.astype(">u2").tobytes())
    elif path.suffix == ".jp2":
        path.write_bytes(imagecodecs.jpeg2k_encode(samples, level=0, reversible=True))
    else:
        path.write_bytes(imagecodecs.png_encode(samples))


@pytest.mark.parametrize("kind", ["png", "jp2", "ppm"])
def test_deep_colour_is_scaled_as_deep_gray(tmp_path, kind):
    values = np.random.default_rng(0).integers(1000, 5001, (SIDE, SIDE, 3), np.uint16)
    values[0, 0, 0], values[0, 1, 0] = 1000, 5000
    deep_file(tmp_path / f"colour.{kind}", values)
    deep_file(tmp_path / f"gray.{kind}", values[:, :, 0].copy())
    expected = np.rint((values - 1000.0) / 4000 * 255)
    colour, gray = load(tmp_path / f"colour.{kind}"), load(tmp_path / f"gray.{kind}")
    np.testing.assert_array_equal(colour.pixels[0], expected)
    np.testing.assert_array_equal(gray.pixels[0], np.repeat(expected[:, :, :1], 3, axis=2))
    assert colour.notes == (f"colour.{kind}: values 1000 to 5000 of more than 8 bits become 0 to 255",)
    assert gray.notes == (f"gray.{kind}: values 1000 to 5000 of more than 8 bits become 0 to 255",)


def test_deep_samples_that_fill_their_range_stay_as_they_are(tmp_path):
    values = np.random.default_rng(0).integers(3000, 60000, (SIDE, SIDE, 3), np.uint16)
    deep_file(tmp_path / "colour.png", values)
    deep_file(tmp_path / "gray.png", values[:, :, 0].copy())
    for frames in (load(tmp_path / "colour.png"), load(tmp_path / "gray.png")):
        np.testing.assert_allclose(frames.pixels[0, :, :, 0], values[:, :, 0] / 257.0, atol=1)
        assert frames.notes == ()


def test_deep_colour_with_alpha_orientation_and_profile(tmp_path):
    values = np.random.default_rng(0).integers(0, 5001, (SIDE, SIDE + 8, 4), np.uint16)
    values[0, 0, 0], values[0, 1, 0] = 0, 5000
    values[:, :, 3] = np.where(np.arange(SIDE + 8) < 9, 0, 65535)
    deep_file(tmp_path / "plain.png", values)
    content = (tmp_path / "plain.png").read_bytes()

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    exif = Image.Exif()
    exif[0x0112] = 6
    profile = chunk(b"iCCP", b"swapped\0\0" + zlib.compress(swapped_profile()))
    turned = chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
    (tmp_path / "plain.png").write_bytes(content[:33] + profile + turned + content[33:])
    expected = values[:, :, 2::-1] / 5000 * 255
    expected[:, :9] = BACKGROUND
    pixels = pixels_of(tmp_path / "plain.png")[0].astype(int)
    np.testing.assert_allclose(pixels, np.rot90(expected, -1), atol=2)


def test_jpeg_2000_with_12_bits(tmp_path):
    values = np.random.default_rng(0).integers(0, 4096, (SIDE, SIDE, 4), np.uint16)
    values[:, :, 3] = 4095
    content = imagecodecs.jpeg2k_encode(values, level=0, reversible=True, bitspersample=12)
    (tmp_path / "full.jp2").write_bytes(content)
    frames = load(tmp_path / "full.jp2")
    np.testing.assert_allclose(frames.pixels[0], values[:, :, :3] / 4095 * 255, atol=1)
    assert frames.notes == ()
    values[:, :, :3] //= 8
    (tmp_path / "dark.jp2").write_bytes(imagecodecs.jpeg2k_encode(values, level=0, reversible=True, bitspersample=12))
    frames = load(tmp_path / "dark.jp2")
    np.testing.assert_allclose(frames.pixels[0], values[:, :, :3] / 511 * 255, atol=1)
    assert len(frames.notes) == 1 and "of more than 8 bits become 0 to 255" in frames.notes[0]


@pytest.mark.parametrize("kind", ["png", "tif", "npy"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_constant_pictures_are_taken_with_the_same_note(tmp_path, kind, dtype):
    import tifffile

    values = np.full((SIDE, SIDE), 77, dtype)
    path = tmp_path / f"flat.{kind}"
    if kind == "png" and dtype == "float32":
        path = tmp_path / "flat.pfm"
        path.write_bytes(b"Pf %d %d -1.0\n" % values.shape + values.tobytes())
        path = path.rename(tmp_path / "flat.ppm")
    elif kind == "png":
        Image.fromarray(values).save(path)
    else:
        np.save(path, values) if kind == "npy" else tifffile.imwrite(path, values)
    frames = load(path)
    assert f"{path.name}: every pixel is the same: there is nothing to learn" in frames.notes
    images = frames.pixels if dtype != "uint8" and kind != "png" else frames.pixels / np.float32(127.5) - 1
    expected = {"uint8": 77, "uint16": 0, "float32": 0}[dtype] if kind == "png" else 77
    assert (frames.source.format.to_source(images) == expected).all()


def test_formats_that_pillow_was_built_without(tmp_path, monkeypatch):
    Image.fromarray(noise(SIDE, SIDE)).save(tmp_path / "a.png")
    Image.init()
    monkeypatch.delitem(Image.OPEN, "AVIF", raising=False)
    np.testing.assert_array_equal(pixels_of(tmp_path / "a.png")[0], noise(SIDE, SIDE))


def test_own_mistakes_are_not_blamed_on_the_file(tmp_path, monkeypatch):
    Image.fromarray(noise(SIDE, SIDE)).save(tmp_path / "a.png")
    monkeypatch.setattr("siv_jax.data.pictures._to_srgb", None)
    with pytest.raises(UserError, match=r"a\.png cannot be read by a mistake of siv_jax, please report it: TypeError"):
        load(tmp_path / "a.png")


@pytest.mark.parametrize("error", [AttributeError, KeyError, NameError, TypeError])
def test_what_may_be_a_wrong_call_of_a_library_is_not_blamed_on_the_file(tmp_path, monkeypatch, error):
    Image.fromarray(noise(SIDE, SIDE)).save(tmp_path / "a.png")

    def fail(*_):
        raise error("AVIF")

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load_prepare", fail)
    with pytest.raises(UserError) as caught:
        load(tmp_path / "a.png")
    said = str(caught.value)
    assert re.match(rf"a\.png could not be read: {error.__name__} '?AVIF'? inside [Pp]illow [\d.]+; this may be", said)
    assert "\n" not in said and "damaged" not in said and "please report" in said


def test_large_photos_are_opened(tmp_path):
    """Larger than what Pillow itself refuses."""
    Image.new("1", (13500, 13400)).save(tmp_path / "scan.png")
    source = open_source(DataConfig(path=str(tmp_path / "scan.png")))
    assert source.size == (13400, 13500) and source.notes.lines() == ()


def test_heic(tmp_path, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(UserError, match=r"photo\.heic is a HEIC picture: .*\[heic\]"):
        patch.setitem(sys.modules, "pillow_heif", None)
        (tmp_path / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic" + b"\0" * 100)
        load(tmp_path / "photo.heic")
    heif = pytest.importorskip("pillow_heif")
    y, x = np.mgrid[0:64, 0:96]
    picture = np.stack([y * 3, x * 2, y + x], axis=2).astype(np.uint8)
    heif.from_pillow(Image.fromarray(picture)).save(tmp_path / "photo.heic", quality=100)
    frames = load(tmp_path / "photo.heic")
    assert frames.source.size == (64, 96) and frames.source.format.kind == "picture"
    assert np.abs(frames.pixels[0].astype(int) - picture).max() < 12
    with pytest.raises(UserError, match=r"cut\.heic"):
        (tmp_path / "cut.heic").write_bytes((tmp_path / "photo.heic").read_bytes()[:700])
        load(tmp_path / "cut.heic")


def test_warnings_of_the_caller_are_its_own(tmp_path):
    images = [Image.fromarray(noise(SIDE, SIDE, seed=number)) for number in range(3)]
    images[0].save(tmp_path / "a.png", save_all=True, append_images=images[1:])
    source = open_source(DataConfig(path=str(tmp_path / "a.png")))
    for _ in source.frames():
        with pytest.warns(UserWarning, match="of the caller"):
            warnings.warn("of the caller", stacklevel=1)
    assert source.notes.lines() == ()
