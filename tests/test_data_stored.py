"""The frames that a workdir keeps: complete, lossless, or clearly refused."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from siv_jax.config import DataConfig
from siv_jax.data import PixelFormat, Source, open_source
from siv_jax.data.pixel_format import PICTURE
from siv_jax.data.stored import MAX_CLIP_SIDE, MAX_SIDE, store, stored
from siv_jax.errors import UserError


def samples(dtype, shape, seed=0):
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return (rng.normal(size=shape) * 40 + 7).astype(dtype)
    return rng.integers(0, 2 if dtype == "bool" else 127, shape).astype(dtype)


def array_source(array, pixel_format=PICTURE):
    """A source of the frames [N,H,W,C]."""
    count, *size, channels = array.shape
    return Source("made", count + 2, count, tuple(size), channels, pixel_format, lambda: iter(array))


def again(source, folder):
    return stored(folder, source.name, source.frames_found, source.format)


@settings(max_examples=40, deadline=None)
@given(
    dtype=st.sampled_from(["uint8", "int8", "uint16", "int32", "float16", "float32", "float64", "bool"]),
    channels=st.integers(1, 8),
    count=st.integers(1, 3),
)
def test_arrays_come_back_bit_for_bit(tmp_path_factory, dtype, channels, count):
    folder = tmp_path_factory.mktemp("stored")
    np.save(folder / "array.npy", samples(dtype, (count, 40, 60, channels)))
    source = open_source(DataConfig(path=str(folder / "array.npy")))
    assert store(source, folder / "kept") == (40, 60)
    (folder / "array.npy").unlink()
    back = again(source, folder / "kept")
    np.save(folder / "array.npy", samples(dtype, (count, 40, 60, channels)))
    assert dataclasses.replace(back, frames=source.frames) == source
    for ours, theirs in itertools.zip_longest(back.frames(), source.frames()):
        assert ours.dtype == theirs.dtype and ours.tobytes() == theirs.tobytes()
    assert back.digest() == source.digest()
    assert back.resized(17, 23).tobytes() == source.resized(17, 23).tobytes()


@pytest.mark.parametrize("count", [1, 3])
def test_pictures_are_kept_as_png(tmp_path, count):
    for number in range(count):
        Image.fromarray(samples("uint8", (50, 70, 3), seed=number)).save(tmp_path / f"{number}.bmp")
    source = open_source(DataConfig(path=str(tmp_path)))
    store(source, tmp_path / "deep" / "kept")
    names = sorted(path.name for path in (tmp_path / "deep" / "kept").iterdir())
    assert names == [f"{number:06d}-of-{count:06d}.png" for number in range(1, count + 1)]
    for number, frame in enumerate(again(source, tmp_path / "deep" / "kept").frames()):
        np.testing.assert_array_equal(frame, samples("uint8", (50, 70, 3), seed=number))


@pytest.mark.parametrize(("count", "limit"), [(1, MAX_SIDE), (2, MAX_CLIP_SIDE)])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_larger_frames_are_scaled_down_once(tmp_path, count, limit, dtype):
    array = np.zeros((count, 6, 2 * limit, 3), dtype)
    array[:, :, ::4] = 1
    pixel_format = PICTURE if dtype == "uint8" else PixelFormat("npy", "float32", 0.0, 5.0)
    source = array_source(array, pixel_format)
    assert store(source, tmp_path / "kept") == (3, limit)
    back = again(source, tmp_path / "kept")
    assert back.size == (3, limit) and back.num_frames == count and back.format == pixel_format
    np.testing.assert_array_equal(back.resized(3, limit), source.resized(3, limit))
    fits = array_source(array[:, :, :limit], pixel_format)
    assert store(fits, tmp_path / "fits") == (6, limit)
    np.testing.assert_array_equal(np.stack(list(again(fits, tmp_path / "fits").frames())), array[:, :, :limit])


def test_nothing_is_left_where_the_source_is_damaged(tmp_path):
    def frames():
        yield np.zeros((9, 9, 3), np.uint8)
        raise UserError("film.mp4 is damaged")

    source = Source("film.mp4", 2, 2, (9, 9), 3, PICTURE, frames)
    with pytest.raises(UserError, match="is damaged"):
        store(source, tmp_path / "kept")
    assert list(tmp_path.iterdir()) == []


def test_rest_of_a_killed_run_is_replaced(tmp_path):
    (tmp_path / ".kept.partial").mkdir()
    (tmp_path / ".kept.partial" / "000009-of-000009.png").write_bytes(b"half")
    source = array_source(samples("uint8", (2, 9, 9, 3)))
    store(source, tmp_path / "kept")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert again(source, tmp_path / "kept").digest() == source.digest()
    # What is kept is replaced by what is whole, and by nothing else.
    other = array_source(samples("uint8", (3, 9, 9, 3), seed=1))
    with pytest.raises(ZeroDivisionError):
        store(dataclasses.replace(other, frames=lambda: (1 // 0 for _ in range(3))), tmp_path / "kept")
    assert again(source, tmp_path / "kept").digest() == source.digest()
    store(other, tmp_path / "kept")
    assert again(other, tmp_path / "kept").digest() == other.digest()
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        store(source, tmp_path / "file" / "inside")


def test_missing_frames_are_said_before_anything_is_read(tmp_path):
    source = array_source(samples("uint8", (3, 9, 9, 3)))
    store(source, tmp_path / "kept")
    for name, found in (("000003", "2 of 3"), ("000001", "1 of 3"), ("000002", "0 of an unknown number")):
        (tmp_path / "kept" / f"{name}-of-000003.png").unlink()
        with pytest.raises(UserError, match=f"kept does not hold all frames of made .{found}"):
            again(source, tmp_path / "kept")
    with pytest.raises(UserError, match="absent does not hold all frames"):
        again(source, tmp_path / "absent")


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_damaged_frames_are_named(tmp_path, dtype):
    pixel_format = PICTURE if dtype == "uint8" else PixelFormat("npy", "float32", -1.0, 1.0)
    source = array_source(samples(dtype, (3, 40, 40, 3)), pixel_format)
    store(source, tmp_path / "kept")
    first, second, _ = sorted((tmp_path / "kept").iterdir())
    whole = second.read_bytes()
    other = tmp_path / "other"
    store(array_source(samples(dtype, (1, 40, 41, 3)), pixel_format), other)
    wrong = next(other.iterdir()).read_bytes()
    for content in (whole[: len(whole) // 2], whole[:5], b"", wrong):
        second.write_bytes(content)
        back = again(source, tmp_path / "kept")  # looks at the first frame only
        frames = back.frames()
        next(frames)
        with pytest.raises(UserError, match=second.name) as refusal:
            next(frames)
        assert "\n" not in str(refusal.value)
    first.write_bytes(whole[:20])
    with pytest.raises(UserError, match=f"{first.name} cannot be read, it may be damaged"):
        again(source, tmp_path / "kept")


@pytest.mark.parametrize("mode", ["L", "P", "1", "RGBA", "I;16"])
def test_a_picture_of_another_kind_is_not_the_frame_that_was_kept(tmp_path, mode):
    source = array_source(samples("uint8", (1, 40, 40, 3)))
    store(source, tmp_path / "kept")
    (kept,) = (tmp_path / "kept").iterdir()
    Image.new(mode, (40, 40), 1).save(kept)
    with pytest.raises(UserError, match=f"{kept.name} is not the frame that was kept"):
        again(source, tmp_path / "kept")


def test_digest_is_of_the_pixels_alone(tmp_path):
    picture = samples("uint8", (30, 40, 3))
    Image.fromarray(picture).save(tmp_path / "a.png")
    Image.fromarray(picture).save(tmp_path / "b.bmp")
    picture[3, 4, 1] ^= 1
    Image.fromarray(picture).save(tmp_path / "c.png")
    a, b, c = (open_source(DataConfig(path=str(tmp_path / name))).digest() for name in ("a.png", "b.bmp", "c.png"))
    assert a == b != c
    flat = samples("uint8", (1, 30, 40, 3))
    assert array_source(flat).digest() != array_source(flat.reshape(1, 40, 30, 3)).digest()
    assert array_source(flat).digest() != array_source(flat.reshape(2, 15, 40, 3)).digest()
