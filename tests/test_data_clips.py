"""Clips and animations."""

import json
import subprocess
import sys

import av
import numpy as np
import pytest
from opened import load
from PIL import Image

from siv_jax.errors import UserError


def write_clip(
    path,
    frames,
    codec="libx264",
    pix_fmt="yuv420p",
    rate=25,
    options=None,
    container_options=None,
    **stream_settings,
):
    """Encodes an iterable of uint8 RGB or RGBA frames [H,W,C] or ready av.VideoFrames."""
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream = None
        for frame in frames:
            if not isinstance(frame, av.VideoFrame):
                frame = av.VideoFrame.from_ndarray(frame, format="rgba" if frame.shape[2] == 4 else "rgb24")
            if stream is None:
                stream = container.add_stream(codec, rate=rate, options=options or {})
                stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, pix_fmt
                if "matrix" in stream_settings:
                    stream.set_display_matrix(stream_settings["matrix"])
                if "pixel_shape" in stream_settings:
                    stream.codec_context.sample_aspect_ratio = stream_settings["pixel_shape"]
                if "colorspace" in stream_settings:
                    stream.codec_context.colorspace = stream_settings["colorspace"]
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def counted(count, height=64, width=96):
    """Frames whose gray value is 6 times their number."""
    return [np.full((height, width, 3), 6 * number, np.uint8) for number in range(count)]


def numbers_in(frames):
    return np.rint(frames.pixels.mean((1, 2, 3)) / 6).astype(int).tolist()


def painted(height=64, width=96):
    """Smooth, and different under every turn and flip."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([y * 255 // height, x * 255 // width, 255 - (x + y) // 2], axis=2).astype(np.uint8)


SMALL = 192, 320


@pytest.fixture(scope="module")
def bus(shared):
    folder = shared / "data" / "video" / "bus"
    sources = [np.asarray(Image.open(path).convert("RGB")) for path in sorted(folder.iterdir())]
    return sources, load(folder, SMALL)


def test_bus_as_mp4_is_the_bus_folder(bus, tmp_path):
    sources, folder = bus
    write_clip(tmp_path / "bus.mp4", sources, options={"crf": "4", "preset": "ultrafast"})
    clip = load(tmp_path / "bus.mp4", SMALL)
    assert clip.pixels.shape == folder.pixels.shape and clip.source.size == folder.source.size
    assert clip.source.frames_found == clip.source.num_frames == 80 and clip.source.name == "bus.mp4"
    assert clip.notes == ()
    error = np.abs(clip.pixels.astype(int) - folder.pixels)
    moved = np.abs(clip.pixels[1:].astype(int) - folder.pixels[:-1])
    assert error.mean() < 2 and error.mean((1, 2, 3)).max() < 3
    # The neighbouring frame is much farther away, so that no frame was taken for another.
    assert moved.mean((1, 2, 3)).min() > 2 * error.mean((1, 2, 3)).max()


def test_bus_as_gif_is_the_bus_folder(bus, tmp_path):
    sources, folder = bus
    images = [Image.fromarray(source).quantize(method=Image.Quantize.FASTOCTREE) for source in sources]
    images[0].save(tmp_path / "bus.gif", save_all=True, append_images=images[1:], duration=40)
    clip = load(tmp_path / "bus.gif", SMALL)
    assert clip.pixels.shape == folder.pixels.shape and clip.source.frames_found == 80
    error = np.abs(clip.pixels.astype(int) - folder.pixels)
    assert error.mean() < 6 and error.mean((1, 2, 3)).max() < 7
    best = [np.abs(folder.pixels.astype(int) - frame).mean((1, 2, 3)).argmin() for frame in clip.pixels[::8]]
    assert best == list(range(0, 80, 8))


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("c.mp4", "libx264", "yuv420p"),
        ("c.mov", "mjpeg", "yuvj420p"),
        ("c.mkv", "ffv1", "yuv444p"),
        ("c.webm", "libvpx-vp9", "yuv420p"),
        ("c.avi", "mjpeg", "yuvj420p"),
        ("h264.avi", "libx264", "yuv420p"),
        ("c.ts", "mpeg2video", "yuv420p"),
        ("c.flv", "libx264", "yuv420p"),
        ("without_suffix", "libx264", "yuv420p"),
    ],
)
def test_containers(tmp_path, name, codec, pix_fmt):
    path = tmp_path / name
    target = path if path.suffix else tmp_path / "c.mp4"
    write_clip(target, counted(12), codec, pix_fmt)
    target.rename(path)
    frames = load(path)
    assert numbers_in(frames) == list(range(12)) and frames.source.frames_found == 12
    frames = load(path, frame_stride=3, max_frames=3)
    assert numbers_in(frames) == [0, 4, 9] or numbers_in(frames) == [0, 6, 9]
    assert frames.source.frames_found == 12 and "3 of 12 frames are used" in frames.notes[0]


def test_start_and_end(tmp_path):
    # Key frames every 10 frames, so that reading starts in between.
    for name in ("c.mp4", "c.mkv", "c.ts"):
        write_clip(tmp_path / name, counted(40), options={"g": "10"})
        # Half a frame early: containers round the times of frames.
        frames = load(tmp_path / name, start=0.98, end=1.38)
        assert numbers_in(frames) == list(range(25, 35)), name
        assert frames.source.frames_found == 10
    with pytest.raises(UserError, match=r"c\.mp4 holds no frames from data\.start 9 s to data\.end 10 s"):
        load(tmp_path / "c.mp4", start=9.0, end=10.0)


@pytest.mark.parametrize("kind", ["gif", "webp", "png", "avif"])
def test_animations(tmp_path, kind):
    images = [Image.fromarray(frame) for frame in counted(10)]
    options = {"webp": {"lossless": True}, "avif": {"quality": 100, "speed": 10}}.get(kind, {})
    path = tmp_path / f"moving.{kind}"
    images[0].save(path, save_all=True, append_images=images[1:], duration=100, **options)
    frames = load(path)
    assert numbers_in(frames) == list(range(10)) and frames.source.frames_found == 10
    frames = load(path, start=0.25, end=0.75)
    assert numbers_in(frames) == [3, 4, 5, 6, 7] and frames.source.frames_found == 5
    assert numbers_in(load(path, max_frames=1)) == [0]
    with pytest.raises(UserError, match=r"has no frames from data\.start 5 s"):
        load(path, start=5.0)


def test_transparent_animation_is_laid_over_the_background(tmp_path):
    opaque = np.random.default_rng(0).integers(0, 2, (3, 64, 64, 1)) == 1
    images = [Image.fromarray(frame) for frame in np.where(opaque, np.uint8([200, 0, 0, 255]), np.uint8(0))]
    for kind in ("gif", "webp", "png"):
        path = tmp_path / f"moving.{kind}"
        images[0].save(path, save_all=True, append_images=images[1:], disposal=2, lossless=True)
        frames = load(path, background=(0, 90, 0))
        np.testing.assert_array_equal(frames.pixels, np.where(opaque, (200, 0, 0), (0, 90, 0)), err_msg=kind)
        assert len(frames.notes) == 1


def test_picture_before_an_animated_png_is_no_frame(tmp_path):
    images = [Image.fromarray(frame) for frame in counted(4)]
    images[0].save(tmp_path / "a.png", save_all=True, append_images=images[1:], default_image=True)
    assert numbers_in(load(tmp_path / "a.png")) == [1, 2, 3]


ONE = 65536


@pytest.mark.parametrize(
    ("a", "b", "c", "d", "turn"),
    [
        (1, 0, 0, 1, lambda x: x),
        (-1, 0, 0, 1, lambda x: x[:, ::-1]),
        (-1, 0, 0, -1, lambda x: x[::-1, ::-1]),
        (1, 0, 0, -1, lambda x: x[::-1]),
        (0, 1, 1, 0, lambda x: x.swapaxes(0, 1)),
        (0, 1, -1, 0, lambda x: np.rot90(x, -1)),
        (0, -1, -1, 0, lambda x: np.rot90(x, 2).swapaxes(0, 1)),
        (0, -1, 1, 0, lambda x: np.rot90(x, 1)),
    ],
)
def test_rotation_of_phones(tmp_path, a, b, c, d, turn):
    matrix = (a * ONE, b * ONE, 0, c * ONE, d * ONE, 0, 0, 0, 1 << 30)
    write_clip(tmp_path / "phone.mp4", [painted()], options={"crf": "1"}, matrix=matrix)
    frames = load(tmp_path / "phone.mp4")
    expected = turn(painted())
    assert frames.source.size == expected.shape[:2]
    assert np.abs(frames.pixels[0].astype(int) - expected).max() < 12


def test_rotation_agrees_with_degrees(tmp_path):
    """The matrix of a quarter turn as the library itself writes it."""
    with av.open(str(tmp_path / "turned.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.set_display_rotation(90)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(painted(), format="rgb24")))
        container.mux(stream.encode(None))
    frames = load(tmp_path / "turned.mp4")
    assert np.abs(frames.pixels[0].astype(int) - np.rot90(painted())).max() < 12


def test_pixels_that_are_not_square(tmp_path):
    write_clip(tmp_path / "wide.mp4", [painted(96, 64)], options={"crf": "1"}, pixel_shape=2)
    frames = load(tmp_path / "wide.mp4")
    assert frames.source.size == (96, 128)
    expected = Image.fromarray(painted(96, 64)).resize((128, 96), Image.Resampling.BILINEAR)
    assert np.abs(frames.pixels[0].astype(int) - np.asarray(expected)).max() < 12


@pytest.mark.parametrize(
    ("height", "tag", "matrix"), [(128, None, "ITU601"), (720, None, "ITU709"), (128, 1, "ITU709")]
)
def test_colours_follow_the_clip(tmp_path, height, tag, matrix):
    bars = np.repeat(np.uint8([[255, 0, 0], [0, 255, 0], [0, 0, 255], [200, 200, 40]]), 32, axis=0)
    frame = av.VideoFrame.from_ndarray(np.tile(bars, (height, 1, 1)), format="rgb24")
    coded = frame.reformat(format="yuv444p", dst_colorspace=matrix)
    settings = {} if tag is None else {"colorspace": tag}
    coded.colorspace = 2 if tag is None else tag
    write_clip(tmp_path / "bars.mp4", [coded], pix_fmt="yuv444p", options={"crf": "1"}, **settings)
    frames = load(tmp_path / "bars.mp4")
    scale = frames.pixels.shape[2] // 4
    middles = frames.pixels[0, 5, scale // 2 :: scale].astype(int)
    np.testing.assert_allclose(middles, bars[16::32], atol=6)


def test_transparent_clip(tmp_path):
    rgba = np.full((64, 64, 4), (200, 0, 0, 255), np.uint8)
    rgba[:, 32:, 3] = 0
    write_clip(tmp_path / "cut.mov", [rgba] * 2, "qtrle", "argb")
    frames = load(tmp_path / "cut.mov", background=(0, 90, 0))
    assert frames.pixels[0, 5, 5].tolist() == [200, 0, 0] and frames.pixels[0, 5, 60].tolist() == [0, 90, 0]


def test_high_dynamic_range_is_said(tmp_path):
    write_clip(tmp_path / "hdr.mp4", [painted()], options={"x264-params": "transfer=arib-std-b67"})
    assert "not tone-mapped" in load(tmp_path / "hdr.mp4").notes[0]


def test_missing_package_is_named(tmp_path, monkeypatch):
    write_clip(tmp_path / "c.mp4", counted(2))
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UserError, match=r"c\.mp4 needs a package that is not installed: pip install av"):
        load(tmp_path / "c.mp4")


def test_clip_without_pictures(tmp_path):
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="flt", layout="mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(UserError, match=r"sound\.mp4 holds no pictures"):
        load(tmp_path / "sound.mp4")


def test_damage_in_the_middle_says_where(tmp_path):
    faststart = {"movflags": "faststart"}
    write_clip(tmp_path / "whole.mp4", counted(40), "mjpeg", "yuvj420p", container_options=faststart)
    content = (tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(content[: len(content) * 3 // 4])
    with pytest.raises(UserError, match=r"cut\.mp4 is damaged after .* s: set data\.end") as refusal:
        load(tmp_path / "cut.mp4")
    end = float(str(refusal.value).split("data.end ")[1].split()[0])
    frames = load(tmp_path / "cut.mp4", end=end)
    assert len(frames.pixels) > 5 and numbers_in(frames) == list(range(len(frames.pixels)))


def test_frames_that_the_decoder_patched_up_are_said(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (8, 64, 96, 3), np.uint8)
    write_clip(tmp_path / "scratched.avi", noise, "mpeg4")
    content = bytearray((tmp_path / "scratched.avi").read_bytes())
    middle = len(content) // 2
    content[middle : middle + 300] = b"\x55" * 300
    (tmp_path / "scratched.avi").write_bytes(content)
    frames = load(tmp_path / "scratched.avi")
    assert len(frames.pixels) == 8 and "of 8 frames are damaged and were patched up" in frames.notes[0]


@pytest.mark.parametrize("flags", ["+ildct+ilme", "-ildct-ilme"])
def test_interlaced_clips_are_said(tmp_path, flags):
    write_clip(tmp_path / "clip.mpg", counted(4), "mpeg2video", options={"flags": flags})
    frames = load(tmp_path / "clip.mpg")
    assert [note for note in frames.notes if "interlaced" in note] == (
        ["clip.mpg: it is interlaced, what moves looks combed: ffmpeg -i CLIP -vf yadif NEW mends it"]
        if flags.startswith("+")
        else []
    )


def test_playlists_are_not_followed(tmp_path):
    write_clip(tmp_path / "secret.ts", counted(3), "mpeg2video")
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXTINF:1,\nsecret.ts\n#EXT-X-ENDLIST\n")
    (tmp_path / "list.txt").write_text("ffconcat version 1.0\nfile secret.ts\n")
    for name in ("list.m3u8", "list.txt"):
        with pytest.raises(UserError, match=f"{name} is neither a picture nor a clip"):
            load(tmp_path / name)


def test_names_that_look_like_addresses(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_clip(tmp_path / "c.mp4", counted(2))
    (tmp_path / "c.mp4").rename("http:c %d.mp4")
    assert numbers_in(load("http:c %d.mp4")) == [0, 1]


def test_memory_of_a_4k_clip(tmp_path):
    """All 90 frames of a 4K clip are used; together they would take 2.2 GB as pixels."""
    frame = av.VideoFrame.from_ndarray(np.zeros((2160, 3840, 3), np.uint8), format="rgb24").reformat(format="yuv420p")

    def frames():
        for number in range(90):
            frame.pts = number
            yield frame

    write_clip(tmp_path / "4k.mp4", frames(), options={"preset": "ultrafast"}, rate=30)
    code = (
        "import re, sys, json; from pathlib import Path; from siv_jax.config import DataConfig; "
        "from siv_jax.data import open_source; "
        "pixels = open_source(DataConfig(path=sys.argv[1])).resized(192, 320); "
        # Not getrusage's ru_maxrss, which begins at what the process that started this one holds.
        "peak = int(re.search(r'VmHWM:\\s*(\\d+)', Path('/proc/self/status').read_text())[1]) / 1024; "
        "print(json.dumps([len(pixels), peak]))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "4k.mp4")], capture_output=True, text=True, check=True
    )
    count, peak_mib = json.loads(result.stdout)
    assert count == 90 and peak_mib < 1000
