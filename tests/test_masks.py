"""Masks: how they are read, what is refused, and that they stay with their frames."""

import dataclasses
import shutil

import numpy as np
import pytest
from PIL import EpsImagePlugin, ExifTags, Image

from siv_jax.config import DataConfig
from siv_jax.data import drawn, mask_file, open_source, stored
from siv_jax.data.masks import UNLABELLED, MaskFormat, Masks
from siv_jax.errors import UserError

PALETTE = (0, 0, 0, 200, 30, 30, 30, 30, 200)


def photo(folder, name="photo.png", size=(24, 32)):
    colours = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
    Image.fromarray(colours).save(folder / name)
    return folder / name


def ids(size=(24, 32)) -> np.ndarray:
    """Class 1 above right, class 2 below."""
    labels = np.zeros(size, np.uint8)
    labels[: size[0] // 3, size[1] // 2 :] = 1
    labels[-size[0] // 4 :] = 2
    return labels


def write(path, values: np.ndarray, palette: tuple[int, ...] | None = None):
    image = Image.fromarray(values)
    if palette:
        image.putpalette([*palette, *bytes(768 - len(palette))])
    image.save(path)
    return path


def load(photo, mask, **settings):
    return open_source(DataConfig(path=str(photo), mask=str(mask), **settings))


@pytest.mark.parametrize("kind", ["palette", "gray", "tiff", "npy", "npy of several"])
def test_ids_are_read_from_every_kind_of_file(tmp_path, kind):
    if kind.startswith("npy"):
        path = tmp_path / "mask.npy"
        np.save(path, ids().astype(np.int64) if kind == "npy" else ids()[None])
    else:
        name = "mask.tif" if kind == "tiff" else "mask.png"
        path = write(tmp_path / name, ids(), PALETTE if kind == "palette" else None)
    masks = load(photo(tmp_path), path).masks
    np.testing.assert_array_equal(masks.values, ids()[None])
    palette = PALETTE if kind == "palette" else None
    assert (masks.format.is_object, masks.format.num_classes) == (False, 3)
    assert masks.format.palette is None if palette is None else masks.format.palette[:9] == palette
    np.testing.assert_allclose(masks.shares(), [1 - 1 / 4 - 1 / 6, 1 / 6, 1 / 4])


def test_gray_up_to_white_is_an_object_with_soft_edges(tmp_path):
    values = np.zeros((24, 32), np.uint8)
    values[:, 10:] = 255
    values[:, 9] = 100
    masks = load(photo(tmp_path), write(tmp_path / "mask.png", values)).masks
    assert masks.format == MaskFormat(True, 2)
    channels = masks.channels(24, 32)
    np.testing.assert_array_equal(channels[0, 0, 8:11], [[255, 0], [155, 100], [0, 255]])
    assert masks.labels[0, 0, 8:11].tolist() == [0, 0, 1]
    np.testing.assert_array_equal(masks.format.values(masks.labels), np.where(values >= 128, 255, 0)[None])


def test_unlabelled_pixels_belong_to_no_class_and_come_back(tmp_path):
    values = ids()
    values[0] = 77
    masks = load(photo(tmp_path), write(tmp_path / "mask.png", values, PALETTE), mask_ignore=77).masks
    assert masks.format.num_classes == 3 and set(np.unique(masks.labels)) == {0, 1, 2, UNLABELLED}
    channels = masks.channels(24, 32)
    assert not channels[:, 0].any() and (channels[:, 1:].sum(-1, dtype=int) == 255).all()
    np.testing.assert_array_equal(masks.format.values(masks.labels), masks.values)
    # An ignored id among the classes is no class either.
    inner = load(tmp_path / "photo.png", write(tmp_path / "inner.png", ids(), PALETTE), mask_ignore=1).masks
    assert inner.format.num_classes == 3 and not inner.channels(24, 32)[..., 1].any()


def test_palette_and_ids_survive_saving(tmp_path):
    masks = load(photo(tmp_path), write(tmp_path / "mask.png", ids(), PALETTE)).masks
    masks.format.save(tmp_path / "again.png", masks.labels[0].astype(np.int32))
    with Image.open(tmp_path / "again.png") as again, Image.open(tmp_path / "mask.png") as first:
        assert again.mode == "P" and again.getpalette()[:9] == first.getpalette()[:9] == list(PALETTE)
        np.testing.assert_array_equal(np.asarray(again), ids())


def test_masks_follow_their_frames_by_name(tmp_path):
    for folder in ("frames", "masks"):
        (tmp_path / folder).mkdir()
    for number in (1, 2, 10, 11):
        photo(tmp_path / "frames", f"f{number}.jpg")
        write(tmp_path / "masks" / f"f{number}.png", np.where(ids() > 0, number, 0).astype(np.uint8))
    write(tmp_path / "masks" / "another.png", ids())
    source = load(tmp_path / "frames", tmp_path / "masks", frame_stride=2)
    assert source.masks.values.max((1, 2)).tolist() == [1, 10] and source.masks.format.num_classes == 11
    # A fleet's pictures find theirs in the folder, too.
    alone = load(tmp_path / "frames" / "f2.jpg", tmp_path / "masks")
    assert alone.masks.values.shape == (1, 24, 32) and alone.masks.values.max() == 2


def test_a_smaller_mask_of_the_same_proportions_is_enlarged_to_the_nearest(tmp_path):
    source = load(photo(tmp_path), write(tmp_path / "mask.png", ids((12, 16))))
    np.testing.assert_array_equal(source.masks.values[0], np.kron(ids((12, 16)), np.ones((2, 2), np.uint8)))


@pytest.mark.parametrize("orientation", [3, 5, 6, 8])
def test_a_mask_of_the_stored_pixels_is_turned_with_the_photo(tmp_path, orientation):
    colours = np.stack([ids() * 80] * 3, -1)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.fromarray(colours).save(tmp_path / "photo.png", exif=exif)
    upright = next(open_source(DataConfig(path=str(tmp_path / "photo.png"))).frames())[..., 0] // 80
    shown = load(tmp_path / "photo.png", write(tmp_path / "shown.png", upright)).masks.values[0]
    np.testing.assert_array_equal(shown, upright)
    if orientation != 3:  # a mask of the shown size is taken as people see it
        turned = load(tmp_path / "photo.png", write(tmp_path / "turned.png", ids())).masks.values[0]
        np.testing.assert_array_equal(turned, upright)


def test_the_drawn_examples_have_masks():
    source = load("example:balloons", "example:balloons", max_size=64)
    picture = next(source.frames())
    red = (picture[..., 0].astype(int) - picture[..., 2] > 120) & (picture[..., 1] < 80)
    assert (source.masks.labels[0][red] == 1).mean() > 0.98
    with pytest.raises(UserError, match=r"example:balloons is not the mask of example:clip: add --config\.data\.mask"):
        load("example:clip", "example:balloons")
    clip = load("example:clip", "example:clip", max_frames=5)
    expected = drawn.draw_masks("example:clip")[[0, 15, 30, 44, 59]]
    np.testing.assert_array_equal(clip.masks.values, expected)


def all_of(value: int) -> np.ndarray:
    return np.full((24, 32), value, np.uint8)


def with_id(value: int) -> np.ndarray:
    values = ids()
    values[0, 0] = value
    return values


@pytest.mark.parametrize(
    ("values", "palette", "settings", "said"),
    [
        (np.zeros((24, 31), np.uint8), None, {}, r"mask\.png is 31x24; the picture that it belongs to is 32x24"),
        (np.zeros((24, 32, 3), np.uint8), None, {}, "is a RGB picture: a mask has one label a pixel"),
        (all_of(0), None, {}, "is empty: every pixel is 0; a mask must tell at least two classes apart"),
        (all_of(255), None, {}, "has one class alone: every pixel is 1"),
        (all_of(4), PALETTE, {}, "has one class alone: every pixel is 4"),
        (all_of(9), PALETTE, {"mask_ignore": 9}, "labels nothing: every pixel is data.mask_ignore 9"),
        (with_id(57), None, {}, "values up to 57 and fits no kind of mask.* data.mask_ignore 57"),
        (with_id(255), None, {}, "values up to 255 and fits no kind of mask.* data.mask_ignore 255"),
        (with_id(40), PALETTE, {}, "the id 40, above its classes: ids lie below 30; set data.mask_classes 41"),
        (ids(), None, {"mask_classes": 2}, "the id 2, above its classes: data.mask_classes is 2"),
        (ids(), PALETTE, {"mask_classes": 2}, "the id 2, above its classes: data.mask_classes is 2"),
    ],
)
def test_what_is_refused(tmp_path, values, palette, settings, said):
    with pytest.raises(UserError, match=said):
        load(photo(tmp_path), write(tmp_path / "mask.png", values, palette), **settings)


def test_a_file_that_another_program_would_read_is_no_mask(tmp_path, monkeypatch):
    """Pillow hands EPS to Ghostscript, whatever the file is called."""
    write(tmp_path / "mask.eps", ids()).rename(tmp_path / "mask.png")
    monkeypatch.setattr(EpsImagePlugin.EpsImageFile, "load", None)
    with pytest.raises(UserError, match=r"mask\.png is not a picture that can be read"):
        load(photo(tmp_path), tmp_path / "mask.png")


def test_refusals_of_folders_and_arrays(tmp_path):
    (tmp_path / "masks").mkdir()
    write(tmp_path / "masks" / "other.png", ids())
    picture = photo(tmp_path)
    with pytest.raises(UserError, match=r"holds no mask for photo\.png: a mask has the name of its picture"):
        load(picture, tmp_path / "masks")
    with pytest.raises(UserError, match=r"nowhere\.png does not exist"):
        load(picture, tmp_path / "nowhere.png")
    for array, said in (
        (ids() / 2, r"float64\[24, 32\]: masks are whole numbers"),
        (ids().astype(int) - 1, "holds ids from -1 to 1"),
        (np.stack([ids(), ids()]), "holds 2 masks; photo.png has 1 frames"),
    ):
        np.save(tmp_path / "mask.npy", array)
        with pytest.raises(UserError, match=said):
            load(picture, tmp_path / "mask.npy")


def test_more_classes_by_the_config(tmp_path):
    masks = load(photo(tmp_path), write(tmp_path / "mask.png", with_id(57)), mask_classes=60).masks
    assert not masks.format.is_object and masks.format.num_classes == 60 and masks.shares()[57] > 0


def test_a_mask_of_pickled_objects_is_not_loaded(tmp_path):
    np.save(tmp_path / "mask.npy", np.array([[{}]]))
    with pytest.raises(UserError, match=r"mask\.npy holds pickled Python objects, which are not loaded"):
        load(photo(tmp_path), tmp_path / "mask.npy")
    (tmp_path / "mask.npy").write_text("0 0 1")
    with pytest.raises(UserError, match=r"mask\.npy does not begin like a file of numpy"):
        load(photo(tmp_path), tmp_path / "mask.npy")


def test_the_workdir_keeps_masks_without_loss(tmp_path):
    values = with_id(77)
    source = load(photo(tmp_path), write(tmp_path / "mask.png", values, PALETTE), mask_ignore=77)
    stored.store(source, tmp_path / "kept")

    def kept():
        return stored.stored(tmp_path / "kept", source.name, 1, source.format, source.masks.format)

    again = kept()
    np.testing.assert_array_equal(again.masks.values, values[None])
    assert again.digest() == source.digest() != dataclasses.replace(source, masks=None).digest()
    other = Masks("other", source.masks.values ^ 1, source.masks.format)
    assert dataclasses.replace(source, masks=other).digest() != source.digest()
    shutil.rmtree(tmp_path / "kept" / "masks")
    with pytest.raises(UserError, match="cannot be read"):
        kept()


def test_standard_colours():
    """Those of Pascal VOC."""
    expected = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128), (0, 128, 128)]
    colours = MaskFormat(False, 9).colours()
    assert list(map(tuple, colours[:7])) == expected and tuple(colours[8]) == (64, 0, 0)
    assert len(set(map(tuple, colours))) == 256


def test_classes_of_masks_that_no_config_describes():
    def classes(values, palette=None):
        masks = Masks("mask.png", values[None], MaskFormat(False, 255, palette=palette))
        return mask_file.with_classes(masks).format

    assert classes(ids()).num_classes == int(ids().max()) + 1
    assert classes(np.where(ids() > 0, 255, 0).astype(np.uint8)).is_object
    assert classes(with_id(200), PALETTE).num_classes == 201
    with pytest.raises(UserError, match="values up to 200 and fits no kind of mask"):
        classes(with_id(200))
    with pytest.raises(UserError, match="labels nothing but the background"):
        classes(all_of(0))
