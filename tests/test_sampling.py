"""Samples as files: exact, numbered, reproducible, and refusals of latents that do not fit."""

import dataclasses
import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny
import tiny_workdir
from PIL import Image

from siv_jax import api, sample
from siv_jax.cli import process
from siv_jax.data import open_source
from siv_jax.data.pixel_format import PICTURE, PixelFormat
from siv_jax.models import registry
from siv_jax.models.interface import Samples
from siv_jax.sampling import pictures, sample_files, trained_model, variety
from siv_jax.sampling.drawer import Drawer
from siv_jax.sampling.trained_model import TrainedModel
from siv_jax.sampling.walk import walk
from siv_jax.workdir import layout

# So many frames lie between two latents of a walk.
BETWEEN = 30


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A workdir with weights so large that every latent gives a picture of its own."""
    return tiny_workdir.trained(tmp_path_factory.mktemp("runs") / "trained")


@pytest.fixture
def run(monkeypatch, capsys, trained, tmp_path):
    """Runs siv_jax.sample through its edge: (exit code, output, errors)."""

    def call(*argv, folder=trained):
        monkeypatch.setattr(sys, "argv", ["siv_jax.sample", "--workdir", str(folder), *map(str, argv)])
        with pytest.raises(SystemExit) as leaving:
            process.run(sample.main)
        return leaving.value.code, *capsys.readouterr()

    return call


def saved(save, *arrays, **named) -> bytes:
    """What numpy writes with `save`."""
    file = io.BytesIO()
    save(file, *arrays, **named)
    return file.getvalue()


def samples(run, out: Path, *argv) -> np.ndarray:
    code, _, errors = run("--out", out, "--format", "npy", *argv)
    assert code == 0, errors
    return np.load(out / "samples.npy")


def latents(seed: int, start: int, count: int, dim: int = 64) -> np.ndarray:
    config = tiny.config(model__noise_dim=dim)
    family = registry.get(config.model.name)
    plan = family.plan(config, open_source(config.data))
    return family.sampler(config, plan).noise(seed, start, count)


def test_arrays_are_what_the_generator_gives(run, trained, tmp_path):
    made = samples(run, tmp_path / "out", "--num", 5)
    assert made.shape == (5, 48, 64, 3) and made.dtype == np.float32
    assert np.abs(made).max() <= 1 and np.std(made) > 0.05
    model = TrainedModel(trained)
    assert model.step == 40
    np.testing.assert_array_equal(made, model.generate(model.latents(5)))
    assert len({sample.tobytes() for sample in made}) == 5


def test_sample_k_does_not_depend_on_how_many_there_are(run, tmp_path):
    few = samples(run, tmp_path / "few", "--num", 3, "--seed", 7)
    many = samples(run, tmp_path / "many", "--num", 70, "--seed", 7)
    np.testing.assert_array_equal(many[:3], few)
    other = samples(run, tmp_path / "other", "--num", 3, "--seed", 8)
    assert not np.any(np.all(other == few, axis=(1, 2, 3)))


def test_latents_are_normal_and_each_its_own():
    z = latents(3, 0, 200)
    assert z.dtype == np.float32 and abs(z.mean()) < 0.05 and abs(z.std() - 1) < 0.03
    np.testing.assert_array_equal(latents(3, 150, 10), z[150:160])
    assert len({row.tobytes() for row in z}) == 200
    assert not np.any(latents(4, 0, 200) == z)
    # Pinned: published samples name a seed.
    pinned = [1.00401425, -0.90633720, -0.74817222, -1.17136693]
    np.testing.assert_allclose(latents(0, 0, 1, dim=4)[0], pinned, rtol=1e-5)


def test_pictures_are_the_arrays_rounded_and_the_sheet_holds_them_all(run, tmp_path):
    array = samples(run, tmp_path / "npy", "--num", 3)
    code, out, _ = run("--out", tmp_path / "png", "--num", 3)
    assert code == 0 and "3 samples after 40 training steps" in out
    names = sorted(path.name for path in (tmp_path / "png").iterdir() if not path.name.startswith("."))
    assert names == ["contact_sheet.png", "sample_00000.png", "sample_00001.png", "sample_00002.png"]
    for i, expected in enumerate(array):
        shown = np.asarray(Image.open(tmp_path / "png" / f"sample_{i:05d}.png"))
        assert shown.shape == (48, 64, 3)
        np.testing.assert_array_equal(shown, np.rint((expected + 1) * 127.5).astype(np.uint8))
    sheet = np.asarray(Image.open(tmp_path / "png" / "contact_sheet.png"))
    np.testing.assert_array_equal(sheet[2:50, 2:66], np.rint((array[0] + 1) * 127.5).astype(np.uint8))


def test_the_same_latents_give_the_same_pictures(run, trained, tmp_path):
    made = samples(run, tmp_path / "seed", "--num", 4, "--seed", 5)
    z = TrainedModel(trained).latents(4, seed=5)
    np.save(tmp_path / "z.npy", z)
    np.testing.assert_array_equal(samples(run, tmp_path / "z", "--latents", tmp_path / "z.npy"), made)
    np.savez(tmp_path / "kept.npz", latents=z[2:])
    np.testing.assert_array_equal(samples(run, tmp_path / "kept", "--latents", tmp_path / "kept.npz"), made[2:])
    np.save(tmp_path / "whole.npy", np.ones((2, 8), np.int64))
    assert samples(run, tmp_path / "whole", "--latents", tmp_path / "whole.npy").shape == (2, 48, 64, 3)


def test_samples_lie_in_the_workdir_where_no_folder_is_given(run, trained):
    code, out, _ = run("--num", 1, "--seed", 11)
    assert code == 0 and (trained / "samples_seed11" / "sample_00000.png").is_file()
    assert str(trained / "samples_seed11") in out


LATENTS = {
    "another_length.npy": (np.zeros((2, 9), np.float32), "[n, 8]"),
    "one_vector.npy": (np.zeros(8, np.float32), "[n, 8]"),
    "none.npy": (np.zeros((0, 8), np.float32), "[n, 8]"),
    "words.npy": (np.array([["a"] * 8]), "[n, 8]"),
    "complex.npy": (np.zeros((2, 8), np.complex64), "[n, 8]"),
    "nan.npy": (np.full((2, 8), np.nan, np.float32), "not finite"),
    "huge.npy": (np.full((2, 8), 1e300), "not finite"),
    "objects.npy": (np.array([{}, {}]), "objects.npy"),
}


@pytest.mark.parametrize("name", LATENTS)
def test_latents_that_do_not_fit_are_refused(run, tmp_path, name):
    array, expected = LATENTS[name]
    np.save(tmp_path / name, array, allow_pickle=True)
    code, _, errors = run("--latents", tmp_path / name, "--out", tmp_path / "out")
    assert code == 2 and errors.startswith("error: ") and errors.count("\n") == 1 and expected in errors
    assert not (tmp_path / "out").exists()


def test_latents_that_cannot_be_read_are_refused(run, tmp_path):
    (tmp_path / "text.npy").write_text("1 2 3")
    (tmp_path / "empty.npy").write_bytes(b"")
    np.savez(tmp_path / "other.npz", z=np.zeros((1, 8)))
    np.save(tmp_path / "header.npy", np.zeros((3, 8)))
    header = (tmp_path / "header.npy").read_bytes().replace(b"(3, 8)", b"(3, 8(")
    (tmp_path / "header.npy").write_bytes(header)
    for name in ("text.npy", "empty.npy", "other.npz", "header.npy", "absent.npy", ""):
        code, _, errors = run("--latents", tmp_path / name, "--out", tmp_path / "out")
        assert code == 2 and name in errors and errors.count("\n") == 1


@pytest.mark.parametrize(
    "flags, expected",
    [
        (["--num", "0"], "--num"),
        (["--num", "-3"], "--num"),
        (["--num", "some"], "--num"),
        (["--seed", "-1"], "--seed"),
        (["--seed", str(2**32)], "--seed"),
        (["--format", "jpg"], "--format"),
        (["--interpolate", "1"], "--interpolate"),
        (["--nmu", "3"], "--nmu"),
    ],
)
def test_flags_that_cannot_be_used(run, tmp_path, flags, expected):
    code, _, errors = run("--out", tmp_path / "out", *flags)
    assert code == 2 and expected in errors and errors.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--latents", "z.npy", "--num", "3"], "--num does not go with --latents"),
        (["--latents", "z.npy", "--seed", "0"], "--seed does not go with --latents"),
        (["--latents", "z.npy", "--interpolate", "2"], "--interpolate does not go with --latents"),
        (["--interpolate", "2", "--num", "3"], "--num does not go with --interpolate"),
        (["--interpolate", "2", "--format", "png"], "--format does not go with --interpolate"),
    ],
)
def test_flags_that_do_not_go_together(run, tmp_path, flags, expected):
    code, _, errors = run("--out", tmp_path / "out", *flags)
    assert code == 2 and expected in errors and errors.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("z.npy", saved(np.save, np.array([{}, 1])), "z.npy holds pickled Python objects, which are not loaded"),
        ("z.npz", saved(np.savez, latents=np.array([{}, 1])), "z.npz holds pickled Python objects"),
        ("z.npy", np.zeros((1, 8)).dumps(), "z.npy holds pickled Python objects"),
        ("z.npy", b"0.3 0.1 0.7", "z.npy does not begin like a file of numpy"),
        ("z.npy", b"", "z.npy is not an .npy array of numbers"),
    ],
)
def test_latents_of_another_kind_are_told_apart(run, tmp_path, name, content, expected):
    (tmp_path / name).write_bytes(content)
    code, _, errors = run("--out", tmp_path / "out", "--latents", tmp_path / name)
    assert code == 2 and expected in errors and errors.count("\n") == 1 and "pickle.load" not in errors


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_a_draw_takes_the_place_of_the_earlier_one_and_of_nothing_else(run, tmp_path):
    out = tmp_path / "out"
    assert run("--out", out, "--num", 3)[0] == 0
    (out / "sample_00007.png").write_text("mine")
    (out / "notes.txt").write_text("mine")
    assert run("--out", out, "--num", 1, "--seed", 4)[0] == 0
    assert files(out) == ["contact_sheet.png", "notes.txt", "sample_00000.png", "sample_00007.png"]
    assert run("--out", out, "--num", 2, "--format", "npy")[0] == 0
    assert files(out) == ["contact_sheet.png", "notes.txt", "sample_00007.png", "samples.npy"]
    code, _, errors = run("--out", out, "--num", 8)
    assert code == 2 and "holds sample_00007.png, of which is not noted" in errors
    assert files(out) == ["contact_sheet.png", "notes.txt", "sample_00007.png", "samples.npy"]
    (out / "sample_00007.png").unlink()
    # Names from elsewhere reach nothing outside of the folder.
    (tmp_path / "precious").write_text("mine")
    (out / ".samples.json").write_text(json.dumps([*files(out)[::2], "../precious", str(tmp_path / "precious")]))
    assert run("--out", out, "--num", 1)[0] == 0
    assert (tmp_path / "precious").read_text() == (out / "notes.txt").read_text() == "mine"


def test_samples_of_somebody_else_are_not_mixed_with(run, tmp_path):
    """Whether of the same numbers or of others, which an evaluation would measure."""
    for name in ("sample_00000.png", "sample_00004.png"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_text("mine")
        code, _, errors = run("--out", folder, "--num", 2)
        assert code == 2 and f"holds {name}, of which is not noted" in errors and errors.count("\n") == 1
        assert files(folder) == [name] and (folder / name).read_text() == "mine"


@pytest.mark.parametrize("file_format", ["png", "npy"])
def test_an_interrupted_draw_keeps_what_is_done(tmp_path, file_format):
    images = np.random.default_rng(0).uniform(-1, 1, (4, 6, 8, 3)).astype(np.float32)

    def batches():
        yield Samples(images[:2])
        yield Samples(images[2:])
        raise KeyboardInterrupt

    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(KeyboardInterrupt):
        sample_files.write_samples(tmp_path, batches(), 9, PICTURE, file_format)
    if file_format == "npy":
        np.testing.assert_array_equal(np.load(tmp_path / "samples.npy"), images)
    else:
        for i, image in enumerate(pictures.to_uint8(images)):
            np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / f"sample_{i:05d}.png")), image)
        assert not (tmp_path / "sample_00004.png").exists()
    sheet = np.asarray(Image.open(tmp_path / "contact_sheet.png"))
    np.testing.assert_array_equal(sheet, pictures.grid(pictures.to_uint8(images)))
    # The next draw knows of the files.
    sample_files.write_samples(tmp_path, [Samples(images[:1])], 1, PICTURE, "png")
    assert files(tmp_path) == ["contact_sheet.png", "notes.txt", "sample_00000.png"]


def test_one_batch_is_in_memory_at_a_time(tmp_path):
    written = []

    def batches():
        for i in range(3):
            written.append(len(list(tmp_path.glob("sample_*.png"))))
            yield Samples(np.full((2, 6, 8, 3), i / 3, np.float32))

    sample_files.write_samples(tmp_path, batches(), 6, PICTURE)
    assert written == [0, 2, 4]


def test_more_samples_than_the_sheet_holds(tmp_path):
    images = np.linspace(-1, 1, 103, dtype=np.float32)[:, None, None, None] * np.ones((1, 2, 3, 3), np.float32)
    sheet = sample_files.write_samples(tmp_path, [Samples(images[:60]), Samples(images[60:])], 103, PICTURE)
    np.testing.assert_array_equal(np.asarray(Image.open(sheet)), pictures.grid(pictures.to_uint8(images[:100])))
    assert len(list(tmp_path.glob("sample_*.png"))) == 103


def test_folders_without_a_model_are_refused(run, tmp_path, trained):
    code, _, errors = run(folder=tmp_path / "nowhere")
    assert code == 2 and "nowhere does not exist" in errors
    code, _, errors = run(folder=tmp_path)
    assert code == 2 and "not the workdir of a run" in errors
    for name in (layout.CONFIG, layout.PLAN):
        (tmp_path / name).write_bytes((trained / name).read_bytes())
    code, _, errors = run(folder=tmp_path)
    assert code == 2 and "train there first" in errors


def test_a_file_in_place_of_the_output_is_left_alone(run, tmp_path):
    (tmp_path / "out").write_text("mine")
    code, _, errors = run("--num", 1, "--out", tmp_path / "out")
    assert code == 2 and str(tmp_path / "out") in errors and errors.count("\n") == 1
    assert (tmp_path / "out").read_text() == "mine"


def test_a_walk_passes_its_latents_in_equal_steps_at_their_length():
    anchors = latents(0, 0, 3)
    way = walk(anchors, 10)
    assert way.shape == (30, 64) and way.dtype == np.float32
    np.testing.assert_allclose(way[::10], anchors, atol=1e-5)
    closed = np.concatenate([way, way[:1]])
    for i, start in enumerate(range(0, 30, 10)):
        piece = closed[start : start + 11]
        lengths = np.linalg.norm(piece, axis=1)
        shortest = min(np.linalg.norm(anchors[i]), np.linalg.norm(anchors[(i + 1) % 3]))
        assert lengths.min() > 0.97 * shortest, "a straight line would pass near the middle at 0.7 of it"
        steps = np.linalg.norm(np.diff(piece, axis=0), axis=1)
        assert steps.max() < 1.25 * steps.min()


def test_points_of_a_walk_by_themselves_are_those_of_the_whole_walk():
    anchors = latents(0, 0, 3)
    way = walk(anchors, 10)
    for numbers in ([7], range(8, 13), [0, 29], range(0, 30, 3)):
        assert walk(anchors, 10, numbers).tobytes() == way[list(numbers)].tobytes()


def test_chosen_samples_come_group_by_group_and_are_counted_as_they_come(trained, tmp_path, monkeypatch):
    """Of any number of samples a stop keeps those that are there, and a bar shows how far they are."""
    monkeypatch.setattr(TrainedModel, "_previewer", None)
    load, asked, seen = api.load, [], []
    groups = variety.in_groups

    def chosen(workdir):
        model = load(workdir)
        model.config = dataclasses.replace(model.config, candidates=2)
        return model

    def noted(*given):
        for group in groups(*given):
            asked.append(len(group))
            yield group

    def stopping(samples, count):
        for one in samples:
            if len(seen) == 40:
                raise KeyboardInterrupt
            seen.append(len(one.images))
            yield one

    monkeypatch.setattr(api, "load", chosen)
    monkeypatch.setattr(variety, "in_groups", noted)
    with pytest.raises(KeyboardInterrupt):
        api.write_samples(trained, num=10_000, out=tmp_path, progress=stopping)
    assert seen == [1] * 40 and asked == [32, 32]
    assert len(list(tmp_path.glob("sample_*.png"))) == 40 and (tmp_path / "contact_sheet.png").exists()


def test_samples_and_walks_need_one_batch_of_latents_at_a_time(trained, monkeypatch):
    model, asked = api.load(trained), []
    model._drawer.batch = 4
    expected, way = model.sample(10, seed=3), model.generate(walk(model.latents(2, 3), 5))
    noise = Drawer.noise

    def noted(self, seed, start, count):
        asked.append(count)
        return noise(self, seed, start, count)

    def walked(anchors, frames_between, numbers):
        asked.append(len(numbers))
        return walk(anchors, frames_between, numbers)

    monkeypatch.setattr(Drawer, "noise", noted)
    monkeypatch.setattr(trained_model, "walk", walked)
    drawn = np.concatenate([batch.images for batch in model.sampled(10, 3)])
    np.testing.assert_array_equal(pictures.to_uint8(drawn), expected)
    assert asked == [4, 4, 2]
    np.testing.assert_array_equal(model.interpolate(2, 5, seed=3), pictures.to_uint8(way))
    assert asked[3:] == [2, 4, 4, 2]  # the two samples, and what lies between them


@pytest.mark.parametrize("anchors", [[[1.0, 0.0], [1.0, 0.0]], [[1.0, 0.0], [-1.0, 0.0]], [[0.5], [-2.0]]])
def test_walks_between_equal_and_opposite_latents_stay_between_them(anchors):
    anchors = np.array(anchors, np.float32)
    way = walk(anchors, 8)
    np.testing.assert_allclose(way[::8], anchors, atol=1e-6)
    assert np.isfinite(way).all() and np.linalg.norm(way, axis=1).max() <= np.linalg.norm(anchors, axis=1).max() + 1e-5


def test_interpolation_is_a_gif_and_an_mp4_of_every_step(run, tmp_path):
    import av

    code, out, errors = run("--interpolate", 2, "--seed", 1, "--out", tmp_path)
    assert code == 0, errors
    assert out.split() == [str(tmp_path / "interpolation.gif"), str(tmp_path / "interpolation.mp4")]
    with Image.open(tmp_path / "interpolation.gif") as animation:
        assert animation.size == (64, 48) and animation.info["loop"] == 0
        assert animation.n_frames == 2 * BETWEEN and animation.info["duration"] == 40
        shown = np.asarray(animation.convert("RGB"), np.float32)
    with av.open(str(tmp_path / "interpolation.mp4")) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert container.streams.video[0].average_rate == 25
    assert len(frames) == 2 * BETWEEN and frames[0].shape == (48, 64, 3)
    first, second = samples(run, tmp_path / "ends", "--num", 2, "--seed", 1)
    # The latents' own pictures stand at the start and in the middle; codecs keep their brightness best.
    assert alike(frames[0], first) > 0.75 > alike(frames[0], second)
    assert alike(frames[BETWEEN], second) > 0.75 > alike(frames[BETWEEN], first)
    assert alike(shown, first) > 0.75


def alike(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Correlation of two pictures' brightness."""
    return np.corrcoef(np.float64(ours).mean(-1).ravel(), np.float64(theirs).mean(-1).ravel())[0, 1]


def test_an_odd_size_becomes_an_even_video(tmp_path):
    import av

    frames = np.random.default_rng(0).integers(0, 256, (3, 7, 9, 3), np.uint8)
    pictures.save_mp4(tmp_path / "a.mp4", frames, 25)
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert [frame.to_ndarray(format="rgb24").shape for frame in container.decode(video=0)] == [(8, 10, 3)] * 3


@pytest.mark.parametrize(
    "pixel_format, channels, suffix",
    [
        (PICTURE, 3, ".png"),
        (PICTURE, 1, ".png"),
        (PixelFormat("npy", "float32", -3.0, 5.0), 5, ".npy"),
        (PixelFormat("npy", "uint16", 0.0, 65535.0), 2, ".npy"),
        (PixelFormat("tiff", "uint16", 100.0, 4000.0), 4, ".tif"),
        (PixelFormat("tiff", "float32", 0.0, 1.0), 1, ".tif"),
    ],
)
def test_samples_come_out_as_the_input_came_in(tmp_path, pixel_format, channels, suffix):
    import tifffile

    images = np.linspace(-1, 1, 2 * 6 * 8 * channels, dtype=np.float32).reshape(2, 6, 8, channels)
    sheet = sample_files.write_samples(tmp_path, [Samples(images[:1]), Samples(images[1:])], 2, pixel_format)
    read = {".png": lambda path: np.asarray(Image.open(path)), ".npy": np.load, ".tif": tifffile.imread}[suffix]
    for i, image in enumerate(images):
        written = read(tmp_path / f"sample_{i:05d}{suffix}").reshape(6, 8, channels)
        expected = pixel_format.low + (image + 1) / 2 * (pixel_format.high - pixel_format.low)
        assert written.dtype == pixel_format.dtype
        np.testing.assert_allclose(written, expected, atol=0.51 if written.dtype.kind == "u" else 1e-5, rtol=1e-5)
    assert np.asarray(Image.open(sheet)).ndim == 3


def test_a_grid_shows_every_picture_once_in_order():
    images = np.arange(7, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 6, 3), np.uint8)
    sheet = pictures.grid(images)
    corners = sheet[2::6, 2::8, 0].ravel()
    inside = [int(value) for value in corners if value < 255]
    assert inside == list(range(7))
    assert (sheet[:2] == 255).all() and (sheet[:, -2:] == 255).all()


def test_bytes_are_rounded_and_clipped():
    values = np.array([-2.0, -1.0, -0.999, 0.0, 0.9999, 1.0, 3.0], np.float32)
    np.testing.assert_array_equal(pictures.to_uint8(values), [0, 0, 0, 128, 255, 255, 255])
