"""Paths and files that cannot be read end in one line that says why, and never hang."""

import contextlib
import os
import shutil
import socket
import tempfile
from pathlib import Path

import numpy as np
import pytest
from opened import load
from PIL import Image

from siv_jax.errors import UserError


def refusal_of(path, **settings):
    with pytest.raises(UserError) as refusal:
        load(path, **settings)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def test_paths_that_lead_nowhere(tmp_path):
    assert "data.path is empty" in refusal_of("") and "data.path is empty" in refusal_of("  ")
    assert refusal_of(tmp_path / "absent.png").endswith("absent.png does not exist")
    (tmp_path / "dangling").symlink_to(tmp_path / "absent")
    assert "dangling does not exist" in refusal_of(tmp_path / "dangling")
    (tmp_path / "round").symlink_to(tmp_path / "about")
    (tmp_path / "about").symlink_to(tmp_path / "round")
    assert "cannot be opened: too many levels of symbolic links" in refusal_of(tmp_path / "round")
    assert "cannot be opened" in refusal_of("a\0b")
    assert "cannot be opened" in refusal_of("x" * 5000)
    Image.new("RGB", (64, 64)).save(tmp_path / "file.png")
    assert "cannot be opened" in refusal_of(tmp_path / "file.png" / "inside")
    assert "does not exist" in refusal_of(tmp_path / "two\nlines.png")


@pytest.mark.posix
def test_what_is_no_file_is_not_opened(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe.png")
    assert "pipe, a socket or a device" in refusal_of(tmp_path / "pipe.png")
    with socket.socket(socket.AF_UNIX) as unix:
        # Addresses of sockets are short.
        monkeypatch.chdir(tmp_path)
        unix.bind("socket")
        assert "pipe, a socket or a device" in refusal_of(tmp_path / "socket")
    assert "pipe, a socket or a device" in refusal_of("/dev/zero")
    # As a frame in a folder too.
    assert "pipe, a socket or a device" in refusal_of(tmp_path)


def test_empty_and_foreign_files(tmp_path):
    (tmp_path / "zero.png").write_bytes(b"")
    assert refusal_of(tmp_path / "zero.png") == "zero.png is empty (0 bytes)"
    assert "zero.png is empty" in refusal_of(tmp_path)
    (tmp_path / "zero.png").unlink()
    (tmp_path / "letter.jpg").write_text("Dear Sir or Madam,\n" * 50)
    assert "letter.jpg is neither a picture nor a clip" in refusal_of(tmp_path / "letter.jpg")
    assert "letter.jpg is not a picture that can be read" in refusal_of(tmp_path)
    (tmp_path / "letter.npy").write_text("Dear Sir or Madam")
    assert "letter.npy does not begin like a .npy file" in refusal_of(tmp_path / "letter.npy")
    (tmp_path / "drawing.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n")
    assert "drawing.eps is neither" in refusal_of(tmp_path / "drawing.eps")


def test_folders_without_pictures(tmp_path):
    assert "holds no picture: a folder must hold frames" in refusal_of(tmp_path)
    (tmp_path / "readme.txt").write_text("nothing here")
    (tmp_path / ".hidden.png").write_bytes(b"x")
    assert "holds no picture" in refusal_of(tmp_path)
    (tmp_path / "folder.png").mkdir()
    assert "folder with the name of a frame" in refusal_of(tmp_path)


def test_times_need_a_clip(tmp_path):
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    np.save(tmp_path / "a.npy", np.eye(64))
    for path in (tmp_path / "a.png", tmp_path / "a.npy", tmp_path):
        assert "leave data.start and data.end at 0" in refusal_of(path, start=1.0)
        assert "leave data.start and data.end at 0" in refusal_of(path, end=1.0)


def test_cut_off_files(tmp_path):
    samples = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    kinds = ["png", "jpg", "webp", "bmp", "tif", "gif", "avif", "jp2"]
    for kind in [kind for kind in kinds if f".{kind}" in Image.registered_extensions()]:
        path = tmp_path / f"whole.{kind}"
        Image.fromarray(samples).save(path)
        cut = tmp_path / f"cut.{kind}"
        cut.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        assert f"cut.{kind}" in refusal_of(cut), kind


def test_mixed_channels_are_refused(tmp_path):
    np.save(tmp_path / "1.npy", np.zeros((64, 64, 2), np.uint8))
    np.save(tmp_path / "2.npy", np.zeros((64, 64, 4), np.uint8))
    assert "channels 2 in" in refusal_of(tmp_path) and "4 in" in refusal_of(tmp_path)


@contextlib.contextmanager
def ordinary_user():
    """The superuser may read everything, and is somebody else inside."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.posix
def test_forbidden_files(tmp_path):
    # All modules must have been imported before: they may be forbidden too.
    assert "does not exist" in refusal_of(tmp_path / "absent")
    # Below pytest's own folder everything is forbidden to others.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chmod(folder, 0o755)
        (folder / "closed").mkdir()
        for path in (folder / "secret.png", folder / "closed" / "secret.png"):
            Image.new("RGB", (64, 64)).save(path)
        os.chmod(folder / "secret.png", 0)
        os.chmod(folder / "closed", 0)
        with ordinary_user():
            assert "secret.png cannot be opened: permission denied" in refusal_of(folder / "secret.png")
            assert "secret.png cannot be opened: permission denied" in refusal_of(folder)
            assert "secret.png cannot be opened: permission denied" in refusal_of(folder / "closed" / "secret.png")
            assert "closed cannot be listed: Permission denied" in refusal_of(folder / "closed")
        os.chmod(folder / "closed", 0o755)


def test_nothing_is_left_behind_or_changed(tmp_path):
    Image.new("RGB", (64, 64), (1, 2, 3)).save(tmp_path / "a.png")
    shutil.copy(tmp_path / "a.png", tmp_path / "b.png")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    load(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_names_that_are_not_utf8(tmp_path):
    """A file of every reader whose name is Latin-1, alone, damaged and in a folder of such a name."""
    import tifffile
    from test_data_clips import counted, write_clip

    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    folder.mkdir()
    samples = np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3), np.uint8)
    images = [Image.fromarray(frame) for frame in samples]

    def path(suffix):
        return Path(os.fsdecode(os.fsencode(folder) + b"/na\xefve" + suffix.encode()))

    np.save(path(".npy"), samples)
    tifffile.imwrite(path(".tif"), samples, photometric="rgb")
    images[0].save(path(".gif"), save_all=True, append_images=images[1:])
    write_clip(tmp_path / "clip.mp4", counted(2))
    (tmp_path / "clip.mp4").rename(path(".mp4"))
    for suffix in (".npy", ".tif", ".gif", ".mp4"):
        opened = load(path(suffix))
        assert len(opened.pixels) == 2 and opened.source.name == f"na?ve{suffix}", suffix
        content = path(suffix).read_bytes()
        path(suffix).write_bytes(content[: len(content) // 2])
        assert f"na?ve{suffix}" in refusal_of(path(suffix))
        path(suffix).unlink()
        assert refusal_of(path(suffix)).endswith(f"caf?/na?ve{suffix} does not exist")
    images[0].save(path(".png"))
    path(".txt").write_text("aside")
    opened = load(folder)
    np.testing.assert_array_equal(opened.pixels, samples[:1])
    assert opened.source.name == "caf?" and opened.notes[0].endswith("such as na?ve.txt")
    for text in (opened.source.name, *opened.notes):
        text.encode()


def test_tiffs_whose_tags_are_damaged(tmp_path):
    import tifffile

    pixels = np.zeros((48, 64), np.uint8)
    tifffile.imwrite(tmp_path / "palette.tif", pixels, colormap=np.zeros((3, 256), np.uint16))
    for tag, said in ((320, "a picture of palette colours without a palette"), (262, "photometric")):
        damaged = bytearray((tmp_path / "palette.tif").read_bytes())
        at = damaged.find(tag.to_bytes(2, "little") + (b"\x03\x00"))  # the tag's number and its type, SHORT
        damaged[at : at + 2] = (65000).to_bytes(2, "little") if tag == 320 else damaged[at : at + 2]
        if tag == 262:
            damaged[at + 4 : at + 8] = bytes(4)  # no values
        (tmp_path / "damaged.tif").write_bytes(damaged)
        assert said in refusal_of(tmp_path / "damaged.tif")
