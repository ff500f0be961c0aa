"""One picture or clip out of a TensorFlow Datasets data set, read without TensorFlow."""

import contextlib
import importlib
import io
import os
from collections.abc import Iterator

import numpy as np

from siv_jax.config import DataConfig
from siv_jax.data.arrays import array_stills
from siv_jax.data.decoding import decoding, one_line
from siv_jax.data.notes import Notes
from siv_jax.data.pictures import picture_stills
from siv_jax.data.selection import select
from siv_jax.data.source import Source, source_of_stills
from siv_jax.errors import UserError

PREFIX = "tfds:"


def tfds_source(data: DataConfig, notes: Notes) -> Source:
    """The feature `tfds_feature` of example `tfds_index` in `tfds_split` of a prepared data set.

    Pictures and clips are taken as the encoded bytes that the data set stores and decoded one frame at a
    time; tensors are read like .npy files. The data set must have been prepared as array_record or parquet
    under $TFDS_DATA_DIR (or ~/tensorflow_datasets): nothing is downloaded here.

    Raises UserError: names what to install or to prepare, or which names there are.
    """
    source = one_line(data.path)
    printed = io.StringIO()
    with decoding(source, notes), contextlib.redirect_stderr(printed), contextlib.redirect_stdout(printed):
        builder = _builder(source.removeprefix(PREFIX))
        feature = _choose_feature(source, data.tfds_feature, builder.info.features)
        value = _example(source, builder, data)
        for part in feature.split("/"):
            value = value[part]
    if isinstance(value, np.ndarray) and value.dtype != object:
        stills = array_stills(source, "npy", value)
        numbers = select(source, len(stills), data, notes)
        return source_of_stills(source, len(stills), [stills[number] for number in numbers], notes)
    frames = [value] if isinstance(value, bytes) else list(value)
    if not frames:
        raise UserError(f"{source}: feature {feature} of example {data.tfds_index} holds no frames")
    numbers = select(source, len(frames), data, notes)
    files = [(f"{source} frame {number}", io.BytesIO(frames[number])) for number in numbers]
    return source_of_stills(source, len(frames), picture_stills(files, data.background, notes), notes)


def _builder(name: str):
    import tensorflow_datasets as tfds

    # DAVIS and the other video data sets are known by name only after their package has been imported.
    importlib.import_module("tensorflow_datasets.video")
    try:
        return tfds.builder(name, data_dir=os.environ.get("TFDS_DATA_DIR"))
    except tfds.core.DatasetNotFoundError:
        raise UserError(f"{PREFIX}{name}: TensorFlow Datasets knows no data set of this name") from None


def _pictures(feature, path: str = "") -> Iterator[str]:
    """Paths such as video/frames of everything below `feature` that holds pictures or clips."""
    from tensorflow_datasets import features

    if isinstance(feature, features.FeaturesDict):
        for name, inner in feature.items():
            yield from _pictures(inner, f"{path}/{name}" if path else name)
    elif isinstance(feature, features.Image):
        yield path
    elif isinstance(feature, features.Sequence):
        yield from _pictures(feature.feature, path)


def _choose_feature(source: str, asked: str, features) -> str:
    pictures = list(_pictures(features))
    names = ", ".join(pictures)
    if not asked and len(pictures) == 1:
        return pictures[0]
    if not asked:
        raise UserError(f"{source} has {len(pictures)} features with pictures: set data.tfds_feature, one of {names}")
    if asked in pictures or _is_tensor(features, asked):
        return asked
    raise UserError(f"{source} has no picture feature {asked!r}; data.tfds_feature can be {names}")


def _is_tensor(features, path: str) -> bool:
    from tensorflow_datasets import features as kinds

    for part in path.split("/"):
        if not isinstance(features, kinds.FeaturesDict) or part not in features:
            return False
        features = features[part]
    return type(features) is kinds.Tensor and len(features.shape) >= 2


def _example(source: str, builder, data: DataConfig) -> dict:
    splits = sorted(builder.info.splits)
    if not splits:
        raise UserError(
            f"{source} is not prepared under {builder.data_dir}: run once (for most data sets after "
            f"pip install tensorflow) `tfds build {source.removeprefix(PREFIX)} --file_format=array_record`, "
            "or set TFDS_DATA_DIR to the folder where it is"
        )
    try:
        examples = builder.as_data_source(data.tfds_split, decoders=_undecoded(builder.info.features))
    except NotImplementedError:
        raise UserError(
            f"{source} is prepared under {builder.data_dir} in a format that needs TensorFlow: "
            "prepare it with --file_format=array_record"
        ) from None
    except (ValueError, KeyError):
        raise UserError(f"{source} has no split {data.tfds_split!r}; it has {', '.join(splits)}") from None
    if data.tfds_index >= len(examples):
        raise UserError(
            f"{source} has {len(examples)} examples in split {data.tfds_split}; data.tfds_index "
            f"{data.tfds_index} is too high, it counts from 0"
        )
    return examples[data.tfds_index]


def _undecoded(features):
    """Decoders, laid out like `features`, that leave pictures as the bytes that are stored."""
    import tensorflow_datasets as tfds

    class Stored(tfds.decode.Decoder):
        def decode_example(self, serialized_example):
            return serialized_example

        def decode_batch_example_np(self, serialized_example):
            return serialized_example

    def decoders(feature):
        if isinstance(feature, tfds.features.FeaturesDict):
            inner = {name: decoders(part) for name, part in feature.items()}
            return {name: decoder for name, decoder in inner.items() if decoder}
        if isinstance(feature, tfds.features.Image):
            return Stored()
        return decoders(feature.feature) if isinstance(feature, tfds.features.Sequence) else None

    return decoders(features)
