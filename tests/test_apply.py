"""Applications: closed forms of their parts, and each task from files to files with and without a network for it."""

import dataclasses
import re

import numpy as np
import pytest
import toy.family
import toy_runs
from PIL import Image

from siv_jax import api, edit
from siv_jax.apply import change, enlarge, from_patches, palette, pictures, request, retarget
from siv_jax.apply.blend import blended, soft_mask
from siv_jax.apply.mask import fitted, read_mask
from siv_jax.errors import UserError

SIZE = (36, 48)  # height, width of the photo


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A photo of red above green, the same with a blue square, the square's mask, and masks that do not fit."""
    folder = tmp_path_factory.mktemp("files")
    ramp = np.arange(SIZE[1], dtype=np.uint8)[None, :, None]
    photo = np.where(np.arange(SIZE[0])[:, None, None] < 18, (180, 40, 30), (60, 140, 50)).astype(np.uint8)
    photo = (photo + ramp).astype(np.uint8)
    naive, mask = photo.copy(), np.zeros(SIZE, np.uint8)
    naive[6:14, 20:30], mask[6:14, 20:30] = (40, 60, 220), 255
    for name, pixels in {
        "photo": photo,
        "naive": naive,
        "mask": mask,
        "empty": np.zeros(SIZE, np.uint8),
        "square": np.full((20, 20), 255, np.uint8),
        "full": np.full(SIZE, 255, np.uint8),
    }.items():
        Image.fromarray(pixels).save(folder / f"{name}.png")
    Image.fromarray(naive).resize((96, 72)).save(folder / "large.png")
    return folder


@pytest.fixture(scope="module")
def run(files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "run"
    toy_runs.train(folder, data__path=str(files / "photo.png"), data__max_size=48)
    return folder


@pytest.fixture
def without_tasks(monkeypatch):
    """The toy family as one whose network takes no pictures."""
    monkeypatch.setattr(toy.family.Sampler, "tasks", frozenset())
    monkeypatch.setattr(toy.family.Sampler, "num_scales", 1)


def make(run, out, task, *flags):
    assert edit.main(["--workdir", str(run), "--task", task, *map(str, flags), "--out", str(out)]) == 0
    return [np.asarray(Image.open(path)) for path in sorted(out.glob("sample_*.png"))]


def given(files, image="naive", mask="mask"):
    return ["--image", files / f"{image}.png", "--mask", files / f"{mask}.png"]


def read(path):
    return np.asarray(Image.open(path))


# Parts


def test_a_mask_of_nothing_gives_the_photo_and_one_of_everything_the_models_picture():
    random = np.random.default_rng(0)
    photo, made = random.uniform(-1, 1, (2, 8, 9, 3)).astype(np.float32)
    np.testing.assert_array_equal(blended(photo, made, np.zeros((8, 9), np.float32)), photo)
    np.testing.assert_array_equal(blended(photo, made, np.ones((8, 9), np.float32)), made)
    half = blended(photo, made, np.full((8, 9), 0.25, np.float32))
    np.testing.assert_allclose(half, 0.75 * photo + 0.25 * made, atol=1e-6)


def test_the_feather_is_wider_for_an_edit_and_grows_with_large_pictures():
    mask = np.zeros((100, 250), bool)
    mask[45:55, 120:130] = True
    assert (soft_mask("edit", mask) > 0.5).sum() > 2 * (soft_mask("harmonize", mask) > 0.5).sum()
    large = mask.repeat(2, axis=0).repeat(2, axis=1)
    there = soft_mask("harmonize", large)[::2, ::2]
    assert np.abs(there - soft_mask("harmonize", mask)).max() < 0.1


@pytest.mark.parametrize("kind", ["gray", "palette", "rgb", "rgba", "jpeg", "bits", "npy"])
def test_masks_of_every_kind_mark_the_same(tmp_path, kind):
    marked = np.zeros((24, 32), bool)
    marked[8:16, 8:24] = True
    white = (marked * 255).astype(np.uint8)
    path = tmp_path / f"mask.{'npy' if kind == 'npy' else 'jpg' if kind == 'jpeg' else 'png'}"
    if kind == "npy":
        np.save(path, marked.astype(np.float32))
    elif kind == "palette":
        image = Image.fromarray(marked.astype(np.uint8))
        image.putpalette([255, 255, 255, 0, 0, 0])  # the label counts, not its colour
        image.save(path)
    elif kind == "rgba":  # white on nothing
        Image.fromarray(np.dstack([np.full((24, 32, 3), 255, np.uint8), white])).save(path)
    elif kind == "bits":
        Image.fromarray(white).convert("1").save(path)
    else:
        Image.fromarray(white if kind != "rgb" else np.dstack([white] * 3)).save(path)
    np.testing.assert_array_equal(read_mask(path), marked)


def test_a_smaller_mask_keeps_whatever_was_marked():
    mask = np.zeros((40, 60), bool)
    mask[17, 33] = True
    assert fitted(mask, (20, 30)).sum() == 1 and fitted(mask, (20, 30))[8, 16]
    np.testing.assert_array_equal(fitted(fitted(mask, (80, 120)), (40, 60)), mask)


def test_recolouring_brings_the_photos_colours_and_leaves_the_rest():
    random = np.random.default_rng(0)
    photo = np.full((40, 50, 3), (0.6, -0.5, -0.5), np.float32) + random.uniform(-0.1, 0.1, (40, 50, 1))
    image, mask = photo.astype(np.float32).copy(), np.zeros((40, 50), bool)
    image[10:20, 10:30], mask[10:20, 10:30] = (-0.2, -0.2, 0.9), True
    made = palette.recoloured(image, mask, photo.astype(np.float32), random)
    assert np.abs(made[12:18, 12:28] - (0.6, -0.5, -0.5)).max() < 0.15
    far = ~fitted(np.pad(mask, 3)[:-6, :-6] | np.pad(mask, 3)[6:, 6:] | mask, mask.shape)
    far[7:23, 7:33] = False
    np.testing.assert_array_equal(made[far], image[far])


def test_recolouring_keeps_a_large_pictures_own_detail():
    random = np.random.default_rng(0)
    image = random.uniform(-0.3, 0.3, (300, 400, 3)).astype(np.float32)
    photo = np.full((300, 400, 3), 0.5, np.float32)
    mask = np.zeros((300, 400), bool)
    mask[100:160, 100:160] = True
    made = palette.recoloured(image, mask, photo, random)
    made, image = made[105:155, 105:155], image[105:155, 105:155]
    detail, before = (x - pictures.fitted(pictures.fitted(x, (12, 12)), (50, 50)) for x in (made, image))
    assert np.corrcoef(detail.ravel(), before.ravel())[0, 1] > 0.9 and abs(made.mean() - 0.5) < 0.1


def test_enlarging_comes_nearer_to_the_original_than_a_smooth_enlargement(shared):
    path = shared / "data" / "places" / "places_13.jpg"
    original = np.asarray(Image.open(path).convert("RGB"), np.float32)[40:136, 60:188] / 127.5 - 1
    half = enlarge._smooth(original, (48, 64))
    smooth, ours = enlarge._smooth(half, (96, 128)), enlarge.enlarged(half, (96, 128))
    assert np.mean((ours - original) ** 2) < 0.9 * np.mean((smooth - original) ** 2)
    assert ours.min() >= half.min() and ours.max() <= half.max()


def test_a_flat_photo_stays_flat_when_enlarged():
    flat = np.full((20, 30, 1), 0.25, np.float32)
    np.testing.assert_allclose(enlarge.enlarged(flat, (50, 75)), np.full((50, 75, 1), 0.25), atol=1e-6)


def test_the_frame_that_a_picture_was_made_from_is_found():
    random = np.random.default_rng(0)
    frames = random.uniform(-1, 1, (4, 10, 12, 3)).astype(np.float32)
    changed, mask = frames[2].copy(), np.zeros((10, 12), bool)
    changed[:8], mask[:8] = frames[0, :8], True
    np.testing.assert_array_equal(pictures.nearest_frame(frames, changed, mask), frames[2])


# Tasks with a network that takes pictures


def test_the_network_gets_the_picture_at_the_start_scale_and_the_photo_stays_around_the_mask(run, files, tmp_path):
    (whole,) = make(run, tmp_path / "a", "harmonize", "--image", files / "naive.png", "--start_scale", 1)
    (made,) = make(run, tmp_path / "b", "harmonize", *given(files), "--start_scale", 1)
    naive, photo = read(files / "naive.png"), read(files / "photo.png")
    # The toy's finest scale adds nearly nothing but the noise's brightness.
    shift = whole.astype(float) - naive
    assert np.abs(shift - np.median(shift)).max() < 40
    soft = read(tmp_path / "b" / "feathered_mask.png")[..., None] / 255
    np.testing.assert_array_equal(read(tmp_path / "b" / "unblended" / "sample_00000.png"), whole)
    np.testing.assert_allclose(made, (1 - soft) * photo + soft * whole, atol=1.5)
    assert (soft == 0).any() and (made[soft[..., 0] == 0] == photo[soft[..., 0] == 0]).all()


@pytest.mark.parametrize("task", ["harmonize", "edit", "paint"])
def test_the_same_seed_gives_the_same_variants_from_files_and_arrays(run, files, tmp_path, task):
    flags = ["--image", files / "large.png", "--num", 3, "--seed", 5]
    first, second = make(run, tmp_path / "a", task, *flags), make(run, tmp_path / "b", task, *flags)
    np.testing.assert_array_equal(first, second)
    assert len(first) == 3 and (first[0] != first[1]).any() and first[0].shape == (*SIZE, 3)
    arrays = api.load(run).edit(task, read(files / "large.png"), num=3, seed=5)
    np.testing.assert_array_equal(arrays, first)
    assert (make(run, tmp_path / "c", task, *flags[:-1], 6)[0] != first[0]).any()


def test_a_picture_without_a_mask_leaves_nothing_of_an_earlier_blend(run, files, tmp_path, capsys):
    make(run, tmp_path, "edit", *given(files), "--num", 2)
    assert (tmp_path / "feathered_mask.png").exists() and len(list((tmp_path / "unblended").iterdir())) == 2
    make(run, tmp_path, "edit", "--image", files / "large.png")
    assert not (tmp_path / "feathered_mask.png").exists() and not list((tmp_path / "unblended").glob("*"))
    said = capsys.readouterr().out
    assert "the image of 96x72 is resized to 48x36" in said and "the network draws scales 1 to 1 anew" in said


def test_networks_enlarge_retarget_and_animate(run, files, tmp_path, capsys):
    (large,) = make(run, tmp_path / "a", "super_resolution", "--size", "1.5x")
    assert large.shape == (54, 72, 3)
    (other,) = make(run, tmp_path / "b", "super_resolution", "--image", files / "large.png", "--size", "100x80")
    assert other.shape == (80, 100, 3)
    wide = make(run, tmp_path / "c", "retarget", "--size", "2.0x1.0", "--num", 2)
    assert [image.shape for image in wide] == [(36, 96, 3)] * 2 and (wide[0] != wide[1]).any()
    assert "the training picture at that size, scales 1 to 1 drawn anew" in capsys.readouterr().out
    make(run, tmp_path / "d", "animate", "--frames", 7, "--strength", 0.3)
    with Image.open(tmp_path / "d" / "animate.gif") as gif:
        assert gif.n_frames == 7 and gif.size == (48, 36)
    assert (tmp_path / "d" / "animate.mp4").stat().st_size > 500
    model = api.load(run)
    still, lively = (model.edit("animate", frames=7, strength=share) for share in (1.0, 0.0))
    assert still.std(axis=0).max() == 0 and lively.std(axis=0).max() > 0


def test_a_network_that_takes_the_training_picture_retargets_that(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(toy.family.Sampler, "num_scales", 1)
    images = []
    draw = toy.family.Sampler.draw

    def seen(self, weights, noise, size=None, image=None, start_scale=0):
        images.append(image)
        return draw(self, weights, noise, size, image, start_scale)

    monkeypatch.setattr(toy.family.Sampler, "draw", seen)
    make(run, tmp_path, "retarget", "--size", "1.0x0.5:2x", "--frames", 3)
    assert "the training picture, brought to that size by the network" in capsys.readouterr().out
    assert images[-1].shape == (1, *SIZE, 3)
    with Image.open(tmp_path / "retarget.gif") as gif:
        assert gif.n_frames == 3 and gif.size == (96, 72)
        assert np.asarray(gif.convert("RGB"))[40, 60].min() > 250  # white where the first frame does not reach


# Tasks without one


def test_a_pasted_piece_takes_the_photos_colours(run, files, tmp_path, without_tasks, capsys):
    (made,) = make(run, tmp_path, "harmonize", *given(files))
    assert "takes the colours of the photo's patches" in capsys.readouterr().out
    assert made.shape == (*SIZE, 3) and made[8:12, 22:28, 2].max() < 150  # the square was blue
    np.testing.assert_array_equal(made[30:, :5], read(files / "photo.png")[30:, :5])


def test_edits_paintings_and_other_sizes_are_made_of_patches(run, files, tmp_path, without_tasks, capsys):
    photo = read(files / "photo.png")
    (made,) = make(run, tmp_path / "a", "edit", *given(files, mask="full"))
    assert read(files / "naive.png")[10, 25, 2] > 200 and made[..., 2].max() <= photo[..., 2].max()  # no blue
    painted = make(run, tmp_path / "b", "paint", "--image", files / "large.png", "--num", 2)
    np.testing.assert_array_equal(
        painted, make(run, tmp_path / "c", "paint", "--image", files / "large.png", "--num", 2)
    )
    assert painted[0].shape == (*SIZE, 3) and painted[0][..., 2].max() <= photo[..., 2].max()
    (wide,) = make(run, tmp_path / "d", "retarget", "--size", "1.5x1.0")
    assert wide.shape == (36, 72, 3) and wide[3, 5, 0] > wide[33, 5, 0]  # red above green
    assert "made of its own patches" in capsys.readouterr().out


def test_sizes_are_of_the_whole_photo_however_large(run, tmp_path, without_tasks, monkeypatch):
    """As of an edit: the limit is for where no size is given."""
    monkeypatch.setattr(from_patches.wanted_size, "__defaults__", (24,))
    for number, (size, shape) in enumerate((("1.5x1.0", (36, 72, 3)), ("photo", (36, 48, 3)))):
        (made,) = make(run, tmp_path / str(number), "retarget", "--size", size)
        assert made.shape == shape
    make(run, tmp_path / "film", "retarget", "--size", "1.0x0.5", "--frames", 2)
    with Image.open(tmp_path / "film" / "retarget.gif") as gif:
        assert gif.size == (48, 36)  # from 48x36 to 48x18


def test_sizes_of_samples_are_of_what_the_network_learnt(run):
    model = api.load(run)
    model.record = dataclasses.replace(model.record, source_size=(72, 96))
    for size, expected in {"photo": (72, 96), "1.5x": (54, 72), "50x40": (40, 50)}.items():
        assert model.at(size).size == expected


@pytest.fixture(scope="module")
def small_run(files, tmp_path_factory):
    """Of a network that learnt the photo at half its size."""
    folder = tmp_path_factory.mktemp("small") / "run"
    toy_runs.train(folder, data__path=str(files / "photo.png"), data__max_size=24)
    return folder


def test_what_a_network_learnt_smaller_is_composed_at_its_scale_and_made_of_patches(small_run, files, tmp_path, capsys):
    made = make(small_run, tmp_path / "wide", "retarget", "--size", "2.0x1.0", "--num", 2)
    assert "then made of the photo's own patches, as the network learnt it smaller" in capsys.readouterr().out
    photo = read(files / "photo.png")
    for image in made:  # sizes are of the photo's 48x36; its colours, none in between them
        assert image.shape == (36, 96, 3) and image[3, 5, 0] > image[33, 5, 0]
        assert (image.min((0, 1)) >= photo.min((0, 1))).all() and (image.max((0, 1)) <= photo.max((0, 1))).all()
    assert (made[0] != made[1]).any()
    make(small_run, tmp_path / "film", "retarget", "--size", "1.0x0.5:2x", "--frames", 3)
    assert "enlarged, as the network learnt it smaller" in capsys.readouterr().out
    with Image.open(tmp_path / "film" / "retarget.gif") as gif:
        assert gif.n_frames == 3 and gif.size == (96, 72)


def test_what_a_network_that_learnt_smaller_changes_has_the_photos_size(small_run, files, tmp_path, capsys):
    photo = read(files / "photo.png")
    (made,) = make(small_run, tmp_path / "a", "harmonize", *given(files))
    assert "the image is changed alike at its own size" in capsys.readouterr().out
    soft = read(tmp_path / "a" / "feathered_mask.png")
    assert made.shape == (*SIZE, 3) and (made[soft == 0] == photo[soft == 0]).all() and (made[soft > 0] > 0).any()
    painted = make(small_run, tmp_path / "b", "paint", "--image", files / "large.png", "--size", "1.5x", "--num", 2)
    assert "then made of the photo's own patches" in capsys.readouterr().out
    for image in painted:
        assert image.shape == (54, 72, 3) and image[..., 2].max() <= photo[..., 2].max()
    assert (painted[0] != painted[1]).any()


def test_an_image_is_changed_as_the_network_changed_what_it_saw():
    random = np.random.default_rng(0)
    image, seen = (random.uniform(-0.4, 0.4, (*size, 3)).astype(np.float32) for size in ((36, 48), (9, 12)))
    np.testing.assert_array_equal(change._changed_alike(image, seen, seen), image)
    brighter = np.array([0.1, -0.2, 0.5], np.float32)
    np.testing.assert_allclose(change._changed_alike(image, seen, seen + brighter), image + brighter, atol=1e-6)
    assert change._changed_alike(image, seen, seen + 2).max() == 1


@pytest.mark.parametrize(
    "size, scale", [((36, 96), 1.0), ((36, 24), 1.0), ((18, 24), 0.5**0.5), ((9, 12), 8**-0.5), ((720, 960), 1.0)]
)
def test_parts_keep_their_size_until_the_photo_has_twice_the_pixels(size, scale):
    assert retarget.scale_of_parts(SIZE, size) == pytest.approx(scale)


def test_the_photo_is_enlarged_and_walks_go_between_samples(run, files, tmp_path, without_tasks, capsys):
    (large,) = make(run, tmp_path / "a", "super_resolution")
    assert large.shape == (72, 96, 3) and "no network has a part in it" in capsys.readouterr().out
    small = np.asarray(Image.fromarray(large).resize((48, 36), Image.Resampling.BOX), float)
    assert np.abs(small - read(files / "photo.png")).mean() < 3
    make(run, tmp_path / "b", "animate", "--frames", 6)
    with Image.open(tmp_path / "b" / "animate.gif") as gif:
        assert gif.n_frames == 6 and gif.size == (48, 36)
    frames = api.load(run).edit("animate", frames=6)
    assert frames.shape == (6, *SIZE, 3) and frames.std(axis=0).max() > 0


# Refusals


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["harmonize"], "--task harmonize needs --image: the edited, collaged or painted picture"),
        (["retarget"], "--task retarget needs --size: WIDTHxHEIGHT"),
        (["paint", "--image", "naive", "--mask", "mask"], "--mask does not go with --task paint; it is an option of"),
        (["retarget", "--size", "2x", "--start_scale", "1"], "--start_scale does not go with --task retarget"),
        (["animate", "--num", "2"], "--num does not go with --task animate"),
        (["retarget", "--size", "2x", "--frames", "4", "--num", "2"], "--num does not go with --frames"),
        (["animate", "--strength", "2"], "strength is 2.0; it must be a number from 0 to 1"),
        (["edit", "--image", "naive", "--mask", "empty"], "empty.png marks nothing: paint white what was changed"),
        (
            ["edit", "--image", "naive", "--mask", "square"],
            "the mask is 20x20, of another aspect than the image, 48x36",
        ),
        (["edit", "--image", "missing"], "missing.png does not exist"),
        (["edit", "--image", "naive", "--start_scale", "2"], "this model's scales are 0 (coarsest) to 1"),
        (
            ["edit", "--image", "naive", "--size", "2x"],
            "--size does not go with this model, whose network draws at 48x36",
        ),
        (["animate", "--size", "2x"], "--size does not go with this model's animations"),
        (["animate", "--start_scale", "2"], "this model's scales are 0 (coarsest) to 1"),
        (["retarget", "--size", "1x:2x"], "add --frames N, or name one size"),
        (["retarget", "--size", "huge"], "the size 'huge' is not photo"),
        (["super_resolution", "--size", "0.5x"], "not larger than the picture of 48x36"),
    ],
)
def test_what_cannot_be_done_is_said(run, files, tmp_path, flags, said):
    flags = [
        str(files / f"{flag}.png") if before in ("--image", "--mask") else flag
        for before, flag in zip(["", *flags], flags, strict=False)
    ]
    with pytest.raises(UserError, match=re.escape(said)):
        make(run, tmp_path / "out", *flags)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("task", "options", "said"),
    [
        (
            "harmonize",
            {"image": "naive", "start_scale": 1},
            "takes no pictures, and the photo's patches are used instead",
        ),
        (
            "super_resolution",
            {"image": "naive"},
            "--image does not go with this model, which was not trained for super",
        ),
        ("super_resolution", {"seed": 1}, "--seed does not go with this model"),
        ("animate", {"smoothness": 0.5}, "--smoothness does not go with this model, which walks between samples"),
    ],
)
def test_what_a_network_that_takes_no_pictures_cannot_do(run, files, without_tasks, task, options, said):
    options = {key: read(files / f"{value}.png") if key == "image" else value for key, value in options.items()}
    with pytest.raises(UserError, match=re.escape(said)):
        api.load(run).edit(task, **options)


@pytest.mark.parametrize(
    ("image", "mask", "said"),
    [
        (np.zeros((4, 4), np.uint8), None, "image is uint8[4, 4]"),
        (np.zeros((4, 4, 3), np.int32), None, "image is int32[4, 4, 3]"),
        (np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4)), "marks 0 pixels"),
    ],
)
def test_arrays_that_are_no_pictures_or_masks(image, mask, said):
    with pytest.raises(UserError, match=re.escape(said)):
        request.from_arrays("edit", image, mask, {})


def test_tasks_and_options_that_there_are_not():
    with pytest.raises(UserError, match="there is no task 'dream'; tasks are harmonize, edit"):
        request.check("dream", {})
    with pytest.raises(UserError, match="there is no option 'colour'"):
        request.check("animate", {"colour": 1})


def test_a_picture_of_other_channels_is_refused(run, tmp_path):
    np.save(tmp_path / "five.npy", np.random.default_rng(0).uniform(size=(20, 30, 5)))
    with pytest.raises(UserError, match=r"five\.npy has 5 channels; this model makes pictures of 3"):
        api.edit(run, "paint", image=tmp_path / "five.npy")
