"""Samples with masks as data sets in COCO's and Pascal VOC's form."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny_workdir
from PIL import Image
from pycocotools.coco import COCO

from siv_jax import render, sample
from siv_jax.cli import process
from siv_jax.data.masks import UNLABELLED, MaskFormat
from siv_jax.data.pixel_format import PICTURE, PixelFormat
from siv_jax.errors import UserError
from siv_jax.models.interface import Samples
from siv_jax.sampling import label_files, pictures, sample_files

IDS = MaskFormat(False, 5, 200, (0, 0, 0, 250, 10, 20, 30, 40, 50))
OBJECT = MaskFormat(True, 2)
HEIGHT, WIDTH = 13, 17


def samples(mask_format: MaskFormat, count: int = 3) -> Samples:
    """Pictures in smooth colours; masks of blocks of classes, a line of noise and a corner without labels."""
    rng = np.random.default_rng(1)
    coarse = rng.integers(0, mask_format.num_classes, (count, 4, 5))
    masks = coarse.repeat(4, 1).repeat(4, 2)[:, :HEIGHT, :WIDTH].astype(np.int32)
    masks[:, 6] = rng.integers(0, mask_format.num_classes, (count, WIDTH))
    masks[0][masks[0] == 1] = 0  # a picture without class 1
    if mask_format.ignore is not None:
        masks[:, :3, :2] = UNLABELLED
    ramps = np.linspace(-1, 1, HEIGHT)[:, None, None] * np.linspace(-1, 1, WIDTH)[:, None] * np.array([1, -0.5, 0.2])
    return Samples(np.stack([ramps * share for share in np.linspace(0.5, 1, count)]).astype(np.float32), masks)


def decoded(segmentation: dict) -> np.ndarray:
    """bool [H, W] of compressed run lengths: base 32 from the lowest digit on, from the third run on differences."""
    height, width = segmentation["size"]
    runs, value, digits = [], 0, 0
    for character in segmentation["counts"]:
        code = ord(character) - 48
        value, digits = value + (code % 32) * 32**digits, digits + 1
        if code < 32:  # the last digit, whose highest bit is the sign
            value -= 32**digits if code >= 16 else 0
            runs.append(value + runs[-2] if len(runs) > 2 else value)
            value, digits = 0, 0
    assert sum(runs) == height * width
    pixels = np.concatenate([np.full(run, number % 2 == 1) for number, run in enumerate(runs)])
    return pixels.reshape(width, height).T


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools' own decoder
@pytest.mark.parametrize("mask_format", [IDS, OBJECT], ids=["ids", "object"])
def test_coco_holds_every_labelled_pixel_once_and_no_other(tmp_path, mask_format):
    drawn = samples(mask_format)
    batches = [Samples(drawn.images[:2], drawn.masks[:2]), Samples(drawn.images[2:], drawn.masks[2:])]
    sample_files.write_samples(tmp_path, batches, 3, PICTURE, mask_format=mask_format, labels="coco")
    found = json.loads((tmp_path / "annotations.json").read_text())
    names = ["object"] if mask_format.is_object else ["class_1", "class_2", "class_3", "class_4"]
    assert [(one["id"], one["name"]) for one in found["categories"]] == list(enumerate(names, start=1))
    ids = [annotation["id"] for annotation in found["annotations"]]
    assert ids == list(range(1, len(ids) + 1))
    read = COCO(tmp_path / "annotations.json")
    for number, (image, mask) in enumerate(zip(found["images"], drawn.masks, strict=True)):
        with Image.open(tmp_path / image["file_name"]) as picture:
            assert picture.size == (image["width"], image["height"]) == (WIDTH, HEIGHT)
            np.testing.assert_array_equal(np.asarray(picture), PICTURE.to_source(drawn.images[number]))
        own = [annotation for annotation in found["annotations"] if annotation["image_id"] == image["id"]]
        assert [one["category_id"] for one in own] == sorted(set(np.unique(mask).tolist()) - {0, UNLABELLED})
        for one in own:
            wanted = mask == one["category_id"]
            np.testing.assert_array_equal(decoded(one["segmentation"]), wanted)
            np.testing.assert_array_equal(read.annToMask(one), wanted)
            rows, columns = np.nonzero(wanted)
            box = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
            assert one["bbox"] == box and one["area"] == wanted.sum() and one["iscrowd"] == 0
    # Beside it lies what is written without it.
    sample_files.write_samples(tmp_path / "plain", batches, 3, PICTURE, mask_format=mask_format)
    for path in (tmp_path / "plain").glob("[!.]*"):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("mask_format", [IDS, OBJECT], ids=["ids", "object"])
def test_voc_is_three_folders_that_its_readers_find(tmp_path, mask_format):
    drawn = samples(mask_format)
    sample_files.write_samples(tmp_path, [drawn], 3, PICTURE, mask_format=mask_format, labels="voc")
    names = (tmp_path / "ImageSets" / "Segmentation" / "train.txt").read_text().splitlines()
    assert names == ["sample_00000", "sample_00001", "sample_00002"]
    for name, image, mask in zip(names, drawn.images, drawn.masks, strict=True):
        with Image.open(tmp_path / "JPEGImages" / f"{name}.jpg") as picture:
            assert picture.format == "JPEG"
            error = np.abs(np.asarray(picture).astype(int) - pictures.to_uint8(image))
            assert error.mean() < 1 and error.max() <= 4
        with Image.open(tmp_path / "SegmentationClass" / f"{name}.png") as labels:
            assert labels.mode == "P"
            np.testing.assert_array_equal(np.asarray(labels), mask)
            # The palette of the input's mask, else that of Pascal VOC.
            wanted = [0, 0, 0, 250, 10, 20] if mask_format is IDS else [0, 0, 0, 128, 0, 0]
            assert labels.getpalette()[:6] == wanted
    assert shown(tmp_path) == ["ImageSets", "JPEGImages", "SegmentationClass", "contact_sheet.png"]


def shown(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


@pytest.mark.parametrize("labels", ["coco", "voc"])
def test_an_interrupted_draw_lists_what_is_done_and_the_next_takes_its_place(tmp_path, labels):
    drawn = samples(IDS)

    def batches():
        yield Samples(drawn.images[:2], drawn.masks[:2])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sample_files.write_samples(tmp_path, batches(), 3, PICTURE, mask_format=IDS, labels=labels)
    index = tmp_path / label_files.FORMATS[labels].INDEX
    listed = len(json.loads(index.read_text())["images"]) if labels == "coco" else len(index.read_text().split())
    assert listed == 2
    (index.parent / "mine.txt").write_text("mine")
    sample_files.write_samples(tmp_path, [Samples(drawn.images[:1])], 1, PICTURE)
    left = {"coco": ["contact_sheet.png", "mine.txt", "sample_00000.png"]}
    assert shown(tmp_path) == left.get(labels, ["ImageSets", "contact_sheet.png", "sample_00000.png"])
    assert not index.exists() and (index.parent / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("labels", ["coco", "voc"])
def test_a_draw_that_ends_before_its_first_sample_lists_nothing(tmp_path, labels):
    def batches():
        raise KeyboardInterrupt
        yield

    with pytest.raises(KeyboardInterrupt):
        sample_files.write_samples(tmp_path, batches(), 3, PICTURE, mask_format=IDS, labels=labels)
    assert shown(tmp_path) == []


@pytest.mark.parametrize("labels", ["coco", "voc"])
def test_a_data_set_of_somebody_else_is_refused(tmp_path, labels):
    index = tmp_path / label_files.FORMATS[labels].INDEX
    index.parent.mkdir(parents=True, exist_ok=True)
    index.write_text("mine")
    drawn = samples(IDS)
    with pytest.raises(UserError, match=f"holds {label_files.FORMATS[labels].INDEX}, of which is not noted"):
        sample_files.write_samples(tmp_path, [drawn], len(drawn.images), PICTURE, mask_format=IDS, labels=labels)
    assert index.read_text() == "mine" and [path for path in tmp_path.rglob("*") if path.is_file()] == [index]


def test_names_that_lead_out_of_the_folder_are_left_alone(tmp_path):
    folder, outside = tmp_path / "out", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    (outside / "a.png").write_text("mine")
    (folder / "linked").symlink_to(outside)
    names = ["../outside/a.png", "linked/a.png", str(outside / "a.png"), "sub/../../outside/a.png"]
    (folder / ".samples.json").write_text(json.dumps(names))
    sample_files.write_samples(folder, [Samples(samples(IDS).images[:1])], 1, PICTURE)
    assert (outside / "a.png").read_text() == "mine" and (folder / "linked").exists()


@pytest.mark.parametrize(
    ("labels", "pixel_format", "mask_format", "said"),
    [
        ("coco", PICTURE, None, "--labels coco needs masks, and here are pictures alone"),
        ("voc", PixelFormat("npy", "float32", 0, 1), IDS, "--labels voc is of pictures; this input is npy"),
        ("yolo", PICTURE, IDS, "--labels 'yolo' is no format of labels: there are coco, voc"),
    ],
)
def test_what_cannot_be_labelled(labels, pixel_format, mask_format, said):
    with pytest.raises(UserError, match=said):
        label_files.require(labels, pixel_format, mask_format)


def test_coco_without_its_library_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    with pytest.raises(UserError, match=r"pip install 'siv_jax\[coco\]'"):
        label_files.require("coco", PICTURE, IDS)
    label_files.require("voc", PICTURE, IDS)


@pytest.mark.parametrize("command", [sample, render])
def test_models_without_masks_are_refused_in_one_line_and_nothing_is_written(command, tmp_path, monkeypatch, capsys):
    workdir, out = tiny_workdir.trained(tmp_path / "run"), tmp_path / "out"
    for labels in process.LABELS["choices"]:
        monkeypatch.setattr(sys, "argv", ["x", "--workdir", str(workdir), "--labels", labels, "--out", str(out)])
        with pytest.raises(SystemExit) as leaving:
            process.run(command.main)
        said = capsys.readouterr().err
        assert leaving.value.code == 2 and f"--labels {labels} needs masks" in said and said.count("\n") == 1
    assert not out.exists()
    for flags, refused in ((["--interpolate", "2"], "--interpolate"), (["--format", "npy"], "--format npy")):
        with pytest.raises(UserError, match=f"--labels does not go with {refused}"):
            sample.main(["--workdir", str(workdir), "--labels", "coco", *flags])


def test_the_options_of_the_commands_are_the_formats_that_there_are():
    assert list(process.LABELS["choices"]) == list(label_files.FORMATS)
