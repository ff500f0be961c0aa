"""Thousands of damaged files end in frames or in one clear line, never in anything else."""

import collections
import dataclasses
import json
import os
import subprocess
import sys
import traceback
import warnings
from pathlib import Path

import imagecodecs
import numpy as np
from PIL import Image, ImageCms

from siv_jax.config import DataConfig
from siv_jax.data import open_source
from siv_jax.errors import UserError

CASES = 2000
FRAMES = 4


def test_damaged_files_are_read_or_refused(tmp_path):
    # A process of its own: a decoder that crashes or hangs would take the whole session with it.
    result = subprocess.run(
        [sys.executable, "-W", "always", __file__, str(tmp_path), str(CASES), "0"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    last = (tmp_path / "last").read_text() if (tmp_path / "last").exists() else "none"
    assert result.returncode == 0, f"ended with {result.returncode} at {last}: {result.stderr[-2000:]}"
    assert result.stderr == "", "something was printed past the error handling"
    report = json.loads(result.stdout)
    assert report["others"] == []
    assert report["loaded"] + report["refused"] == CASES
    # Both ends are well covered: many mutations only change pixels, many break the file.
    assert report["loaded"] > CASES // 20 and report["refused"] > CASES // 5


def seeds(folder: Path) -> list[Path]:
    """One small intact file of every kind that is read."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:48, 0:52]
    base = np.stack([y * 5, x * 4, (x + y) * 2], axis=2)
    frames = [((base + 20 * i + rng.integers(0, 8, base.shape)) % 256).astype(np.uint8) for i in range(FRAMES)]
    images = [Image.fromarray(frame) for frame in frames]
    _write_pictures(folder, images)
    _write_arrays(folder, np.stack(frames))
    for name, codec in (
        ("h264.mp4", "libx264"),
        ("h264.mkv", "libx264"),
        ("mpeg4.avi", "mpeg4"),
        ("mjpeg.mov", "mjpeg"),
        ("vp9.webm", "libvpx-vp9"),
        ("mpeg2.ts", "mpeg2video"),
        ("ffv1.mkv", "ffv1"),
        ("flash.flv", "flv"),
        ("windows.asf", "wmv2"),
        ("mpeg1.mpg", "mpeg1video"),
    ):
        write_clip(folder / name, codec, frames)
    return sorted(folder.iterdir())


def write_clip(path: Path, codec: str, frames: list[np.ndarray]) -> None:
    """Encodes uint8 RGB frames [H,W,3] at 25 frames a second."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))


def _write_pictures(folder: Path, images: list[Image.Image]) -> None:
    first, rest = images[0], images[1:]
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x0112] = 6
    first.save(folder / "exif.jpg", exif=exif, icc_profile=profile)
    first.save(folder / "progressive.jpg", progressive=True)
    first.convert("CMYK").save(folder / "cmyk.jpg")
    first.save(folder / "rgb.png", icc_profile=profile)
    first.quantize(16).save(folder / "palette.png", transparency=3)
    Image.fromarray(np.asarray(first.convert("L")).astype(np.uint16) * 200).save(folder / "deep.png")
    deep = np.asarray(first).astype(np.uint16) * 100
    (folder / "deep_colour.png").write_bytes(imagecodecs.png_encode(deep))
    (folder / "deep_colour.jp2").write_bytes(imagecodecs.jpeg2k_encode(deep, level=0))
    (folder / "deep_colour.ppm").write_bytes(b"P6 52 48 65535\n" + deep.astype(">u2").tobytes())
    first.convert("RGBA").save(folder / "still.webp", lossless=True)
    first.save(folder / "still.avif", speed=10)
    first.save(folder / "still.bmp")
    first.save(folder / "still.ppm")
    first.save(folder / "still.jp2")
    animation = {"save_all": True, "append_images": rest, "duration": 40}
    for name in ("moving.gif", "moving.webp", "moving.png"):
        first.save(folder / name, **animation)
    first.save(folder / "moving.avif", speed=10, **animation)


def _write_arrays(folder: Path, frames: np.ndarray) -> None:
    import tifffile

    np.save(folder / "bytes.npy", frames)
    np.save(folder / "floats.npy", frames[0].astype(np.float32) / 100)
    tifffile.imwrite(folder / "plain.tif", frames[0])
    tifffile.imwrite(
        folder / "deflated.tif",
        frames[:, :, :, 0].astype(np.uint16),
        compression="zlib",
        photometric="minisblack",
    )
    tifffile.imwrite(folder / "lzw.tif", frames[0], compression="lzw")
    tifffile.imwrite(folder / "palette.tif", frames[0][:, :, 0], colormap=np.zeros((3, 256), np.uint16))
    nodata = [(42113, "s", 0, "-9999", True)]
    tifffile.imwrite(folder / "geo.tif", frames[0, :, :, 0].astype(np.float32) - 9999, extratags=nodata)
    tifffile.imwrite(folder / "planar.tif", frames[0].transpose(2, 0, 1), planarconfig="separate", photometric="rgb")


def damaged(rng: np.random.Generator, contents: list[bytes], which: int) -> bytes:
    """Contents number `which` with flipped bits, cut off, spliced or with a run of other bytes."""
    content = bytearray(contents[which])
    kind = rng.integers(5)
    if kind == 0:
        # Most decisions are taken in the first bytes.
        region = min(len(content), int(rng.choice([64, 512, len(content)])))
        for position in rng.integers(0, region, rng.integers(1, 9)):
            content[position] ^= 1 << rng.integers(8)
    elif kind == 1:
        del content[rng.integers(len(content)) :]
    elif kind == 2:
        other = contents[rng.integers(len(contents))]
        cut = rng.integers(len(content))
        content[cut:] = other[min(cut, len(other)) :]
    elif kind == 3:
        start = rng.integers(len(content))
        content[start : start + 4] = rng.choice([b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff"])
    else:
        start, length = rng.integers(len(content)), rng.integers(1, 200)
        del content[start : start + length]
    return bytes(content)


def fuzz(folder: Path, cases: int, seed: int) -> dict:
    """Reads `cases` damaged files and counts how that ends."""
    (folder / "seeds").mkdir()
    paths = seeds(folder / "seeds")
    contents = [path.read_bytes() for path in paths]
    rng = np.random.default_rng(seed)
    plain = DataConfig(max_frames=3)
    counts, others, refusals = collections.Counter(), [], collections.Counter()
    for case in range(cases):
        which = case % len(paths)
        path = folder / f"case{paths[which].suffix}"
        path.write_bytes(damaged(rng, contents, which))
        (folder / "last").write_text(f"case {case}, from {paths[which].name}")
        start = float(rng.choice([0.0, 0.05])) if path.suffix in (".mp4", ".mkv", ".gif") else 0.0
        try:
            source = open_source(dataclasses.replace(plain, path=str(path), start=start))
            pixels = source.resized(48, 64)
            assert pixels.shape == (source.num_frames, 48, 64, source.channels)
            assert np.isfinite(pixels).all()
            counts["loaded"] += 1
        except UserError as error:
            assert "\n" not in str(error) and path.name in str(error), str(error)
            assert "mistake of siv_jax" not in str(error), str(error)
            counts["refused"] += 1
            refusals[f"{paths[which].suffix} {error}"] += 1
        except BaseException:
            others.append(f"{case} {paths[which].name}: {traceback.format_exc()[-1500:]}")
    if os.environ.get("SHOW_REFUSALS"):
        print(*(f"{count} {text}" for text, count in refusals.most_common()), sep="\n", file=sys.stderr)
    return {"loaded": counts["loaded"], "refused": counts["refused"], "others": others}


if __name__ == "__main__":
    warnings.simplefilter("always")
    print(json.dumps(fuzz(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
