"""Runs of OSMIS from their files to their files: masks stay with their pictures all the way."""

import importlib.util
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tiny
import toy_runs
from PIL import Image

from siv_jax import api, render, sample
from siv_jax import config as config_lib
from siv_jax.data import drawn
from siv_jax.errors import UserError
from siv_jax.metrics import masks as mask_metrics
from siv_jax.sampling import pictures
from siv_jax.train import fleet, single
from siv_jax.web import places, runs, studio
from siv_jax.web.studio import Studio
from siv_jax.workdir import layout

OVERRIDES = {
    "num_steps": 8,
    "batch_size": 3,
    "log_every": 2,
    "sample_every": 4,
    "checkpoint_every": 4,
    "num_samples": 3,
    "rendered_size": 32,
    "data.max_size": 32,
    "model.ch_g": 1,
    "model.ch_d": 8,
    "model.noise_dim": 8,
    "model.num_blocks_d": 2,
    "model.num_blocks_low_level": 1,
    "mask.bernoulli_steps": 4,
}

EXAMPLE = Path(__file__).parent.parent / "examples" / "segmentation.py"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """photo.png with mask.png in its own colours, which are saved as a palette."""
    folder = tmp_path_factory.mktemp("files")
    Image.fromarray(drawn.draw_balloons()).resize((128, 96)).save(folder / "photo.png")
    mask = Image.fromarray(drawn.draw_masks("example:balloons")[0]).resize((128, 96), Image.Resampling.NEAREST)
    mask.putpalette([*drawn.PALETTE, *bytes(768 - len(drawn.PALETTE))])
    mask.save(folder / "mask.png")
    return folder


def config(files, **changes):
    given = {name.replace("__", "."): value for name, value in changes.items()}
    paths = {"data.path": str(files / "photo.png"), "data.mask": str(files / "mask.png")}
    default = config_lib.from_config_dict(config_lib.default("osmis"))
    return config_lib.with_overrides(default, OVERRIDES | paths | given)


def train(files, folder, **changes) -> list[str]:
    said: list[str] = []
    assert single.train(config(files, **changes), folder, 1, False, said.append) is None
    return said


@pytest.fixture(scope="module")
def run(files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "photo"
    said = train(files, folder)
    return folder, said


def test_the_masks_that_were_found_are_told(run, files):
    (line,) = [line for line in run[1] if line.startswith("masks ")]
    with Image.open(files / "mask.png") as mask:
        shares = np.bincount(np.asarray(mask).ravel()) / (96 * 128)
    assert "mask.png: 3 classes" in line
    assert all(f"{label}: {share:.1%}" in line for label, share in enumerate(shares))


def test_a_run_in_parts_is_the_same_and_needs_its_files_no_more(run, files, tmp_path):
    moved = tmp_path / "files"
    shutil.copytree(files, moved)
    train(moved, tmp_path / "parts", num_steps=4)
    shutil.rmtree(moved)
    train(moved, tmp_path / "parts")
    toy_runs.assert_same_run(tmp_path / "parts", run[0])


def test_samples_have_masks_with_the_palette_of_the_file(run):
    folder, _ = run
    for kind in (layout.SAMPLES, layout.RENDERED):
        for number in range(OVERRIDES["num_samples"]):
            with (
                Image.open(folder / kind / f"sample_{number:05d}.png") as image,
                Image.open(folder / kind / f"mask_{number:05d}.png") as mask,
            ):
                assert mask.size == image.size and mask.mode == "P"
                assert tuple(mask.getpalette()[:9]) == drawn.PALETTE and np.asarray(mask).max() <= 2
    with Image.open(folder / layout.RENDERED / "mask_00000.png") as mask:
        assert mask.size == (32, 24)


def test_images_and_masks_from_python(run):
    model = api.load(run[0])
    images, masks = model.sample(3)
    assert images.shape == (3, *model.size, 3) and images.dtype == np.uint8
    assert masks.shape == images.shape[:3] and masks.dtype == np.int32
    for number, mask in enumerate(masks):
        with Image.open(run[0] / layout.SAMPLES / f"mask_{number:05d}.png") as saved:
            np.testing.assert_array_equal(np.asarray(saved), mask)
    rendered = model.render(1, size="48x36")
    assert rendered.images.shape == (1, 36, 48, 3) and rendered.masks.shape == (1, 36, 48)


def test_the_command_writes_masks(run, tmp_path):
    (line,) = api.write_samples(run[0], num=2, seed=5, out=tmp_path / "out")
    assert "2 samples" in line
    names = sorted(path.name for path in (tmp_path / "out").iterdir() if not path.name.startswith("."))
    assert names == ["contact_sheet.png", "mask_00000.png", "mask_00001.png", "sample_00000.png", "sample_00001.png"]
    with Image.open(tmp_path / "out" / "sample_00000.png") as one, Image.open(tmp_path / "out" / names[0]) as sheet:
        assert sheet.width >= 2 * one.width  # each sample and its overlay


def test_the_app_gives_samples_with_their_masks(run):
    app, model = Studio(), api.load(run[0])
    chosen = places.samples(model, 0, 0, 2, 1.0)
    for size, (height, width) in (("", model.size), ("48x36", (36, 48))):
        picture, mask = app.picture(model, chosen[1], size)
        with zipfile.ZipFile(app.pack(model, chosen, size)) as archive:
            for name, alone in (("sample", picture), ("mask", mask)):
                with Image.open(archive.open(f"samples/{name}_00001.png")) as packed, Image.open(alone) as image:
                    assert packed.size == (width, height) and packed.mode == image.mode
                    np.testing.assert_array_equal(np.asarray(packed), np.asarray(image))
        if not size:
            np.testing.assert_array_equal(np.asarray(Image.open(mask)), model.sample(2).masks[1])
    assert all(image.shape[1] > 2 * image.shape[0] for image in app.draw(model, chosen)), "beside its overlay"
    assert app.preview(model, chosen[0]).shape == (96, 2 * 128 + 2, 3)


def test_the_app_renders_the_samples_of_a_grid_and_not_their_overlays(run, monkeypatch):
    rough = []
    monkeypatch.setattr(studio.rendering, "of_arrays", lambda images, *rest: rough.append(images) or [])
    grid = runs.status(run[0].parent, run[0].name).grid[1]
    Studio().previews_of_grid(run[0], grid, 2)
    with Image.open(grid) as sheet:
        height, width = api.load(run[0]).size
        pairs = pictures.pictures_of_grid(np.asarray(sheet), height, 2 * width + 2)
    np.testing.assert_array_equal(pictures.to_uint8(rough[0]), pairs[:2, :, :width])


def test_labelled_samples_agree_with_their_masks_drawn_and_rendered(run, files, tmp_path):
    """And a photo's own mask, an object in gray, labels what is rendered from it."""
    gray = Image.fromarray(np.where(drawn.draw_masks("example:balloons")[0] > 0, 255, 0).astype(np.uint8))
    gray.resize((128, 96), Image.Resampling.NEAREST).save(tmp_path / "gray.png")
    workdir = ["--workdir", str(run[0]), "--num", "2"]
    for number, (command, flags, names) in enumerate(
        [
            (sample, workdir, ["class_1", "class_2"]),
            (render, [*workdir, "--size", "40x30"], ["class_1", "class_2"]),
            (sample, [*workdir, "--size", "40x30"], ["class_1", "class_2"]),
            (render, [*workdir, "--mask", str(tmp_path / "gray.png"), "--size", "40x30"], ["object"]),
        ]
    ):
        for labels in ("coco", "voc"):
            assert not command.main([*flags, "--labels", labels, "--out", str(tmp_path / f"{labels}{number}")])
        coco, voc = tmp_path / f"coco{number}", tmp_path / f"voc{number}"
        found = json.loads((coco / "annotations.json").read_text())
        assert [one["name"] for one in found["categories"]] == names and len(found["images"]) == 2
        for image in found["images"]:
            stem = image["file_name"].removesuffix(".png")
            with Image.open(coco / f"{stem.replace('sample', 'mask')}.png") as file:
                mask = np.asarray(file) // (255 if names == ["object"] else 1)
            with Image.open(voc / "SegmentationClass" / f"{stem}.png") as file:
                np.testing.assert_array_equal(np.asarray(file), mask)
            own = {one["category_id"]: one["area"] for one in found["annotations"] if one["image_id"] == image["id"]}
            counts = np.bincount(mask.ravel())
            assert own == {label: counts[label] for label in np.unique(mask) if label} and mask.shape[0] > 20
    assert own  # something of the object was drawn


def test_the_page_lays_masks_over_rendered_samples(run):
    page = (run[0] / "index.html").read_text()
    assert 'class="mask" alt="its mask" src="rendered/mask_00000.png"' in page


def example(*before: str, run, frames, masks) -> subprocess.CompletedProcess:
    """examples/segmentation.py as a command, for a few steps, after these lines of Python."""
    flags = ["--frames", str(frames), "--masks", str(masks), "--longest", "32", "--pairs", "2", "--steps", "3"]
    code = [*before, "import runpy, sys", "runpy.run_path(sys.argv[0], run_name='__main__')"]
    code.insert(-1, f"sys.argv = {[str(EXAMPLE), '--workdir', str(run), *flags, '--seeds', '2']}")
    return subprocess.run(
        [sys.executable, "-c", "\n".join(code)], env=tiny.environment(), capture_output=True, text=True, timeout=600
    )


@pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("torch", "monai")),
    reason="the example's network needs PyTorch and MONAI: pip install torch monai",
)
def test_the_example_measures_on_frames_that_are_not_the_runs_own(run, files, tmp_path):
    for name in ("photo", "mask"):
        (tmp_path / name).mkdir()
        with Image.open(files / f"{name}.png") as whole:
            whole.save(tmp_path / name / "0.png")
            for number in (1, 2):
                moved = whole.transform(whole.size, Image.Transform.AFFINE, (1, 0, 9 * number, 0, 1, 0))
                moved.save(tmp_path / name / f"{number}.png")
    done = example(run=run[0], frames=tmp_path / "photo", masks=tmp_path / "mask")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["frames"] == 2 and found["size"] == [32, 24] and found["steps"] == 3
    one, pairs = found["mean IoU"].values()
    assert len(one) == len(pairs) == 2 and one != pairs and all(0 < value < 1 for value in one + pairs)
    again = example(run=run[0], frames=tmp_path / "photo", masks=tmp_path / "mask")
    assert again.stdout == done.stdout


@pytest.mark.parametrize("library", ["torch", "monai"])
def test_the_example_says_what_to_install(run, files, library):
    done = example("import sys", f"sys.modules[{library!r}] = None", run=run[0], frames=files, masks=files)
    assert done.returncode == 2 and not done.stdout
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ") and "pip install torch monai" in line


def test_families_with_and_without_masks(files, tmp_path):
    plain = config_lib.with_overrides(
        config_lib.from_config_dict(config_lib.default()),
        {"data.path": str(files / "photo.png"), "data.mask": str(files / "mask.png")},
    )
    with pytest.raises(UserError, match=r"SIV-GAN learns from pictures alone: leave the mask out"):
        single.train(plain, tmp_path / "a", 1, True, str)
    with pytest.raises(UserError, match=r"OSMIS learns from a picture and its mask: add --config\.data\.mask"):
        train(files, tmp_path / "b", data__mask="")


def test_a_fleet_of_pictures_and_masks(files, tmp_path):
    for name in ("pictures", "masks"):
        (tmp_path / name).mkdir()
    for stem in ("one", "two", "three"):
        shutil.copy(files / "photo.png", tmp_path / "pictures" / f"{stem}.png")
        if stem != "three":
            shutil.copy(files / "mask.png", tmp_path / "masks" / f"{stem}.png")
    wanted = {"path": str(tmp_path / "pictures"), "mask": str(tmp_path / "masks")}
    settings = config(
        files, fleet__enabled=True, num_steps=2, rendered_size=0, **{f"data__{k}": v for k, v in wanted.items()}
    )
    said: list[str] = []
    assert fleet.train(settings, tmp_path / "fleet", 1, False, said.append) is None
    summary = json.loads((tmp_path / "fleet" / "summary.json").read_text())["members"]
    outcomes = {entry["picture"]: entry["outcome"] for entry in summary}
    assert outcomes == {"one.png": "done", "two.png": "done", "three.png": "failed"}
    assert any("holds no mask for three.png" in line for line in said)
    assert (tmp_path / "fleet" / "two" / layout.SAMPLES / "mask_00000.png").exists()


def test_mask_metrics_of_pictures_that_show_their_masks():
    """The training pair itself agrees with itself; a mask that was shifted, or all background, does not."""
    rng = np.random.default_rng(0)
    labels = np.zeros((2, 40, 48), np.uint8)
    labels[0, 8:20, 5:25], labels[1, 20:34, 20:40] = 1, 1
    colours = np.where(labels[..., None] == 1, [200, 60, 40], [40, 90, 200])
    images = np.clip(colours + rng.normal(0, 4, colours.shape), 0, 255).astype(np.uint8)
    exact = mask_metrics.measure(images, images, mask_metrics.MaskSet(labels, labels, 2))
    assert exact.agreement.min() == exact.accuracy.min() == 1 and exact.share_distance < 1e-12
    swapped = mask_metrics.measure(images[::-1], images, mask_metrics.MaskSet(labels, labels, 2))
    assert swapped.agreement.max() < 0.6
    empty = mask_metrics.measure(images, images, mask_metrics.MaskSet(labels * 0, labels, 2))
    assert empty.share_distance == pytest.approx(labels.mean())
    np.testing.assert_allclose(empty.agreement, (1 - labels.mean((1, 2))) / 2, rtol=1e-6)


def test_mean_iou_in_closed_form():
    wanted, found = np.array([0, 0, 1, 1, 2, 255]), np.array([0, 1, 1, 1, 1, 0])
    assert mask_metrics.mean_iou(found, wanted, 4) == pytest.approx((1 / 2 + 2 / 4 + 0) / 3)
