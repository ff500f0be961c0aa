"""TensorFlow Datasets without TensorFlow, against a small data set that is built and prepared here."""

import importlib.util
import io
import json
import shutil

import numpy as np
import opened
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from siv_jax.data import PixelFormat
from siv_jax.errors import UserError

SIDE = 64


def png(samples):
    buffer = io.BytesIO()
    Image.fromarray(samples).save(buffer, "PNG")
    return buffer.getvalue()


def frame(example, number, height=SIDE):
    samples = np.random.default_rng(example * 100 + number).integers(0, 256, (height, SIDE, 3), np.uint8)
    return samples


class SivTinyScenes(tfds.core.GeneratorBasedBuilder):
    """Three examples with every way to hold a picture or a clip."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = (tfds.core.BuilderConfig(name="small"),)

    def _info(self):
        picture = tfds.features.Image(shape=(None, None, 3))
        features = {
            "photo": picture,
            "video": tfds.features.Sequence(
                {"frames": picture, "segmentations": tfds.features.Image(shape=(None, None, 1))}
            ),
            "clip": tfds.features.Sequence(picture),
            "depth": tfds.features.Tensor(shape=(SIDE, SIDE, 2), dtype=np.float32),
            "metadata": {"name": tfds.features.Text()},
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(range(3)), "test": self._generate_examples(range(7, 8))}

    def _generate_examples(self, numbers):
        for number in numbers:
            frames = [png(frame(number, k)) for k in range(6)]
            masks = [png(frame(number, k)[:, :, 0]) for k in range(6)]
            yield (
                number,
                {
                    "photo": png(frame(number, 0)),
                    "video": [{"frames": f, "segmentations": m} for f, m in zip(frames, masks, strict=True)],
                    "clip": frames[: 3 + number],
                    "depth": np.linspace(-1, number + 1, SIDE * SIDE * 2, dtype=np.float32).reshape(SIDE, SIDE, 2),
                    "metadata": {"name": f"scene {number}"},
                },
            )


class SivTinyPhotos(tfds.core.GeneratorBasedBuilder):
    """A single feature with pictures."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {"image": tfds.features.Image(shape=(None, None, 3)), "label": np.int64}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        yield 0, {"image": png(frame(0, 0)), "label": 3}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    tfds.disable_progress_bar()
    for name in ("siv_tiny_scenes/small", "siv_tiny_photos"):
        tfds.builder(name, data_dir=folder).download_and_prepare(file_format="array_record")
    return folder


@pytest.fixture
def load(prepared, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared))

    def load(path="tfds:siv_tiny_scenes/small", **settings):
        return opened.load(path, **settings)

    return load


def scene_names(prepared):
    """Examples come in an order of their own."""
    examples = tfds.builder("siv_tiny_scenes/small", data_dir=prepared).as_data_source("train")
    return [int(example["metadata"]["name"].split()[1]) for example in examples]


@pytest.mark.parametrize("index", [0, 1, 2])
def test_clip_of_an_example(load, prepared, index):
    number = scene_names(prepared)[index]
    frames = load(tfds_feature="video/frames", tfds_index=index)
    np.testing.assert_array_equal(frames.pixels, np.stack([frame(number, k) for k in range(6)]))
    assert frames.source.num_frames == frames.source.frames_found == 6
    assert frames.source.name == "tfds:siv_tiny_scenes/small"
    frames = load(tfds_feature="clip", tfds_index=index, max_frames=2)
    np.testing.assert_array_equal(frames.pixels, np.stack([frame(number, k) for k in (0, 2 + number)]))
    assert f"2 of {3 + number} frames are used" in frames.notes[0]


def test_picture_and_split(load):
    frames = load(tfds_feature="photo", tfds_split="test")
    np.testing.assert_array_equal(frames.pixels[0], frame(7, 0))
    assert frames.source.num_frames == 1 and frames.source.format.kind == "picture"


def test_tensor_of_an_example(load):
    frames = load(tfds_feature="depth", tfds_split="test")
    assert frames.source.format == PixelFormat("npy", "float32", -1.0, 8.0)
    assert frames.pixels.shape == (1, SIDE, SIDE, 2) and frames.pixels.dtype == np.float32


def test_only_feature_needs_no_name(load):
    np.testing.assert_array_equal(load("tfds:siv_tiny_photos").pixels[0], frame(0, 0))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "set data.tfds_feature, one of .*photo.*video/frames"),
        ({"tfds_feature": "movie"}, "no picture feature 'movie'; data.tfds_feature can be .*video/frames"),
        ({"tfds_feature": "metadata/name"}, "no picture feature 'metadata/name'"),
        (
            {"tfds_feature": "photo", "tfds_index": 3},
            "has 3 examples in split train; data.tfds_index 3 is too high",
        ),
        ({"tfds_feature": "photo", "tfds_split": "validation"}, "no split 'validation'; it has test, train"),
        ({"tfds_feature": "video/frames", "start": 1.0}, "has no times"),
        ({"path": "tfds:siv_never_heard_of"}, "knows no data set of this name"),
        ({"path": "tfds:"}, "^tfds: "),
        ({"path": "tfds:siv_tiny_scenes/large"}, "siv_tiny_scenes/large"),
        ({"path": "tfds:davis/480p"}, "set data.tfds_feature, one of video/frames, video/segmentations"),
        (
            {"path": "tfds:davis/480p", "tfds_feature": "video/frames"},
            "not prepared under .*tfds build davis/480p --file_format=array_record",
        ),
        ({"path": "tfds:places365_small", "tfds_feature": "image"}, "not prepared under"),
    ],
)
def test_refusals_say_what_to_do(load, capfd, settings, message):
    with pytest.raises(UserError, match=message) as refusal:
        load(**settings)
    assert "\n" not in str(refusal.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(importlib.util.find_spec("tensorflow") is not None, reason="TensorFlow is installed")
def test_missing_package_is_named(load, capfd):
    with pytest.raises(UserError, match="needs a package that is not installed: pip install tensorflow"):
        load("tfds:ucf101", tfds_feature="video")
    assert capfd.readouterr() == ("", "")


def test_data_set_prepared_for_tensorflow(prepared, tmp_path, monkeypatch):
    shutil.copytree(prepared / "siv_tiny_photos", tmp_path / "siv_tiny_photos")
    info = tmp_path / "siv_tiny_photos" / "1.0.0" / "dataset_info.json"
    written = json.loads(info.read_text())
    written["fileFormat"] = "tfrecord"
    for split in written["splits"]:
        split["filepathTemplate"] = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
    info.write_text(json.dumps(written))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    with pytest.raises(UserError, match=r"in a format that needs TensorFlow: prepare it with"):
        opened.load("tfds:siv_tiny_photos")
