"""Rendered pictures: of a run's samples, of a rough picture and of noise, as files and from Python."""

import os
import re
import signal

import numpy as np
import pytest
import toy_runs
from PIL import Image

from siv_jax import api, render, sample
from siv_jax.data.resize import limited
from siv_jax.errors import UserError
from siv_jax.sampling import rendering, views
from siv_jax.sampling.pictures import to_uint8
from siv_jax.sampling.rendering import parse_size
from siv_jax.web import runs
from siv_jax.workdir import layout

SIZE = (30, 40)  # height, width of the photo


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    """Red above green, with a white square; its mask names the three."""
    folder = tmp_path_factory.mktemp("photo")
    mask = np.zeros(SIZE, np.uint8)
    mask[15:] = 1
    mask[8:14, 10:20] = 2
    colours = np.array([[180, 40, 30], [60, 140, 50], [240, 240, 240]], np.uint8)
    Image.fromarray(colours[mask]).save(folder / "photo.png")
    palette = Image.fromarray(mask)
    palette.putpalette([0, 0, 0, 0, 255, 0, 255, 255, 0])
    palette.save(folder / "mask.png")
    return folder


@pytest.fixture(scope="module")
def run(photo, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "run"
    toy_runs.train(folder, data__path=str(photo / "photo.png"), data__max_size=16, rendered_size=1024)
    return folder


def pictures_in(folder, name="sample"):
    return [np.asarray(Image.open(path)) for path in sorted(folder.glob(f"{name}_*.png"))]


def test_training_ends_with_rendered_samples_beside_the_raw_ones(run):
    raw, rendered = pictures_in(run / layout.SAMPLES), pictures_in(run / layout.RENDERED)
    assert [image.shape for image in raw] == [(12, 16, 3)] * 4
    assert [image.shape for image in rendered] == [(*SIZE, 3)] * 4
    page = (run / "index.html").read_text()
    assert "the photo's own patches" in page.replace("&#39;", "'") and "rendered/sample_00000.png" in page


@pytest.mark.posix
def test_a_stop_while_rendering_keeps_what_is_done_and_names_no_sheet_of_all(photo, tmp_path, monkeypatch):
    of_model = rendering.of_model

    def interrupted(*given):
        for number, samples in enumerate(of_model(*given)):
            if number == 1:
                os.kill(os.getpid(), signal.SIGTERM)
            yield samples

    monkeypatch.setattr(rendering, "of_model", interrupted)
    settings = {"data__path": str(photo / "photo.png"), "data__max_size": 16, "rendered_size": 1024}
    stopped, lines = toy_runs.train(tmp_path / "run", **settings)
    assert stopped == "SIGTERM"
    assert lines[-2] == "stopped by SIGTERM while rendering; the model is saved. The same command renders all samples"
    assert lines[-1] == f"look at   {tmp_path / 'run' / 'index.html'}"
    assert len(pictures_in(tmp_path / "run" / layout.RENDERED)) == 1
    found = runs.status(tmp_path, "run")
    assert found.state == runs.STOPPED and found.step == found.num_steps == 40, "the app offers to go on"
    assert "final samples are not all there: Go on makes them" in found.problem
    monkeypatch.undo()
    assert toy_runs.train(tmp_path / "run", **settings)[0] is None
    assert len(pictures_in(tmp_path / "run" / layout.RENDERED)) == 4
    found = runs.status(tmp_path, "run")
    assert (found.state, found.problem) == (runs.FINISHED, "")


def test_the_same_seed_gives_the_same_pictures_everywhere(run, tmp_path):
    rendered = pictures_in(run / layout.RENDERED)
    assert render.main(["--workdir", str(run), "--num", "4", "--out", str(tmp_path / "a")]) == 0
    model = api.load(run)
    np.save(tmp_path / "z.npy", model.latents(4))
    assert render.main(["--workdir", str(run), "--latents", str(tmp_path / "z.npy"), "--out", str(tmp_path / "c")]) == 0
    for found in (*(pictures_in(tmp_path / name) for name in "ac"), list(model.render(4))):
        np.testing.assert_array_equal(found, rendered)


def test_samples_that_are_chosen_show_parts_of_what_the_network_draws(photo, tmp_path):
    path = str(photo / "photo.png")
    toy_runs.train(tmp_path / "run", data__path=path, data__max_size=16, rendered_size=1024, candidates=3)
    model = api.load(tmp_path / "run")
    z = model.latents(4)
    parts = np.stack([views.seen(*pair) for pair in zip(model.generate(z), z, strict=True)])
    made = rendering.of_arrays(parts, model.size, model.source(), rendering.Rendering(SIZE))
    expected = [to_uint8(one.images)[0] for one in made]
    np.testing.assert_array_equal(pictures_in(tmp_path / "run" / layout.RENDERED), expected)
    np.testing.assert_array_equal(model.render(4), expected)
    # Chosen among the same draws by anyone who asks: while training, and later.
    draws = model._drawer.noise(model.config.seed, 0, 12).reshape(4, 3, -1)
    assert (z[:, None] == draws).all(axis=-1).any(axis=1).all()


def test_masks_ride_along(run, photo, tmp_path):
    flags = ["--workdir", str(run), "--num", "2", "--mask", str(photo / "mask.png"), "--out", str(tmp_path)]
    assert render.main(flags) == 0
    colours = np.array([[180, 40, 30], [60, 140, 50], [240, 240, 240]], np.float64)
    masks, images = pictures_in(tmp_path, "mask"), pictures_in(tmp_path)
    assert len(masks) == len(images) == 2
    for mask, image in zip(masks, images, strict=True):
        nearest = ((image[..., None, :].astype(float) - colours) ** 2).sum(-1).argmin(-1)
        assert mask.shape == SIZE and np.mean(mask == nearest) > 0.9
    with Image.open(tmp_path / "mask_00000.png") as saved:
        assert saved.mode == "P" and saved.getpalette()[:9] == [0, 0, 0, 0, 255, 0, 255, 255, 0]


def test_a_rough_picture_is_made_of_the_photo(photo, tmp_path):
    rough = np.zeros((15, 20, 3), np.uint8)
    rough[:6], rough[6:] = (150, 60, 60), (80, 120, 70)
    Image.fromarray(rough).save(tmp_path / "rough.png")
    flags = ["--photo", str(photo / "photo.png"), "--from", str(tmp_path / "rough.png"), "--out", str(tmp_path / "out")]
    assert render.main(flags) == 0
    (image,) = pictures_in(tmp_path / "out")
    # Red above and green below as in the rough picture, in the photo's colours.
    assert abs(int(image[3, 20, 0]) - 180) < 25 and abs(int(image[25, 20, 1]) - 140) < 25


def test_patches_from_noise_need_no_training(photo, tmp_path):
    flags = ["--photo", str(photo / "photo.png"), "--from", "noise", "--num", "3", "--size", "50x30"]
    assert render.main([*flags, "--out", str(tmp_path / "a")]) == 0
    assert render.main([*flags, "--out", str(tmp_path / "b")]) == 0
    images = pictures_in(tmp_path / "a")
    assert [image.shape for image in images] == [(30, 50, 3)] * 3
    np.testing.assert_array_equal(images, pictures_in(tmp_path / "b"))
    assert (images[0] != images[1]).any() and max(image[..., 2].max() for image in images) <= 240


@pytest.mark.parametrize(
    ("text", "size"),
    [("photo", (30, 40)), ("50x20", (20, 50)), ("2x", (60, 80)), ("0.5x", (15, 20)), ("1.25x", (38, 50))],
)
def test_sizes(text, size):
    assert parse_size(text, (30, 40)) == size


@pytest.mark.parametrize("text", ["", "large", "x", "3", "0x5", "20000x20", "1000x", "-2x", "5x5x5"])
def test_sizes_that_are_none(text):
    with pytest.raises(UserError, match=re.escape(f"the size {text!r}")):
        parse_size(text, (300, 400))


def test_large_photos_are_rendered_smaller():
    assert limited((3000, 4000), 1024) == (768, 1024) and limited((30, 40), 1024) == (30, 40)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--out", "x"], "give either --workdir"),
        (["--photo", "p.png", "--out", "x"], "--photo needs --from"),
        (["--photo", "PHOTO", "--from", "noise"], "--photo needs --from, a rough picture or noise, and --out"),
        (["--photo", "PHOTO", "--from", "nowhere.png", "--out", "x"], "nowhere.png does not exist"),
        (["--photo", "PHOTO", "--from", "PHOTO", "--num", "3", "--out", "x"], "--num does not go with"),
        (["--workdir", "RUN", "--from", "noise", "--latents", "z.npy"], "--latents does not go with --from"),
        (["--workdir", "RUN", "--fidelity", "9"], "fidelity 9 is not a number from 0 to 8"),
        (["--workdir", "RUN", "--size", "huge"], "the size 'huge'"),
        (["--workdir", "RUN", "--mask", "PHOTO"], "is a RGB picture: a mask has one label a pixel"),
        (["--workdir", "missing"], "missing does not exist"),
    ],
)
def test_what_cannot_be_rendered(run, photo, tmp_path, monkeypatch, flags, said):
    monkeypatch.chdir(tmp_path)
    known = {"PHOTO": str(photo / "photo.png"), "RUN": str(run)}
    with pytest.raises(UserError, match=re.escape(said)):
        render.main([known.get(flag, flag) for flag in flags])
    assert not list(tmp_path.iterdir())


def test_a_mask_of_another_size(run, tmp_path):
    Image.new("L", (10, 10)).save(tmp_path / "small.png")
    with pytest.raises(UserError, match=r"small\.png is 10x10; the picture that it belongs to is 40x30"):
        render.main(["--workdir", str(run), "--mask", str(tmp_path / "small.png"), "--out", str(tmp_path / "out")])


def test_options_of_sample_that_do_not_go_together(run):
    drawn = "--fidelity is of rendered samples, and this model draws any size itself"
    for flags, said in [(["--size", "2x", "--fidelity", "2"], drawn), (["--fidelity", "2"], "--fidelity is of")]:
        with pytest.raises(UserError, match=said):
            sample.main(["--workdir", str(run), *flags])


def test_an_interrupted_rendering_keeps_what_is_done(run, tmp_path):
    def interrupted(samples, count):
        for number, one in enumerate(samples):
            if number == 2:
                raise KeyboardInterrupt
            yield one

    with pytest.raises(KeyboardInterrupt):
        api.render(run, num=4, out=tmp_path, progress=interrupted)
    assert len(pictures_in(tmp_path)) == 2 and (tmp_path / "contact_sheet.png").exists()
