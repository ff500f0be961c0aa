"""The folder of a run: its names, who may write there, and files that are complete or absent."""

import ast
import dataclasses
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny
import toy_runs
from PIL import Image
from toy.family import Plan

from siv_jax.config import DataConfig
from siv_jax.data import PixelFormat, Source, open_source
from siv_jax.data.masks import MaskFormat, Masks
from siv_jax.errors import UserError
from siv_jax.workdir import kept_input, layout, start

PLAN = Plan(24, 32, 3)


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Source:
    path = tmp_path_factory.mktemp("input") / "some.png"
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return open_source(DataConfig(path=str(path)))


@pytest.fixture
def other(tmp_path) -> Source:
    Image.new("RGB", (64, 48), "teal").save(tmp_path / "other.png")
    return open_source(DataConfig(path=str(tmp_path / "other.png")))


def begin(folder: Path, source: Source, **changes) -> layout.Record:
    lock = layout.lock(folder)
    try:
        return start.begin(folder, toy_runs.config(**changes), PLAN, 40, source, source.digest())
    finally:
        lock.release()


@pytest.mark.parametrize(
    "path, name",
    [
        ("photo.jpg", "photo"),
        ("/a/b/My Photo.v2.png", "My Photo.v2"),
        ("frames/", "frames"),
        ("frames", "frames"),
        ("example:balloons", "balloons"),
        ("tfds:davis/480p", "davis-480p"),
        ("2024-01-01 12:30:45.png", "2024-01-01 12-30-45"),
        ("/a/b/..", "a"),
    ],
)
def test_a_run_without_a_workdir_is_named_after_its_input(path, name):
    assert layout.default_workdir(path) == Path("runs") / name


def test_a_new_folder_holds_what_sampling_and_resuming_need(tmp_path, source):
    folder = tmp_path / "deep" / "run"
    record = begin(folder, source)
    assert layout.load_record(folder) == record and record.plan == PLAN
    assert record.source_size == record.kept_size == (48, 64) and record.num_frames == 1
    assert layout.load_config(folder) == toy_runs.config()
    np.testing.assert_array_equal(kept_input.load(folder).resized(48, 64), source.resized(48, 64))
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert begin(folder, source) == record
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_changed_number_of_steps_is_taken_over(tmp_path, source):
    begin(tmp_path / "run", source)
    begin(tmp_path / "run", source, num_steps=7)
    assert layout.load_config(tmp_path / "run").num_steps == 7


def test_another_input_is_refused(tmp_path, source, other):
    folder = tmp_path / "run"
    record = begin(folder, source)
    with pytest.raises(UserError, match=r"another input \(some\.png\)"):
        begin(folder, other)
    # A refusal changes nothing; and the workdir's own copy is the same input.
    assert begin(folder, kept_input.load(folder)) == record


@pytest.fixture
def film(tmp_path) -> Source:
    """A clip of three frames that are larger than those that are kept, in the folder film."""
    (tmp_path / "film").mkdir()
    for number, frame in enumerate(np.random.default_rng(1).integers(0, 256, (3, 20, 1200, 3), np.uint8)):
        Image.fromarray(frame).save(tmp_path / "film" / f"{number}.png")
    return open_source(DataConfig(path=str(tmp_path / "film")))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize("harm", [Path.unlink, cut])
@pytest.mark.parametrize("number", [0, 2])
def test_a_copy_that_is_not_whole_is_kept_anew_from_the_same_input(tmp_path, film, harm, number):
    folder = tmp_path / "run"
    record = begin(folder, film)
    kept = {path: path.read_bytes() for path in (folder / layout.SOURCE).iterdir()}
    harm(sorted(kept)[number])
    assert begin(folder, film) == record
    assert {path: path.read_bytes() for path in (folder / layout.SOURCE).iterdir()} == kept


def test_a_run_without_its_copy_reads_the_input_where_it_was(tmp_path, film, other):
    folder, path = tmp_path / "run", str(tmp_path / "film")
    record = begin(folder, film, data__path=path)
    digest = kept_input.load(folder).digest()
    shutil.rmtree(folder / layout.SOURCE)
    found = kept_input.load(folder)
    assert found.digest() == digest and found.size == record.kept_size == (18, 1080)
    with pytest.raises(UserError, match=r"another input \(film\)"):
        begin(folder, other, data__path=path)
    # The run's own reading of its input takes the copy's place, too.
    assert begin(folder, found, data__path=path) == record
    shutil.rmtree(folder / layout.SOURCE)
    Image.new("RGB", (1200, 20)).save(tmp_path / "film" / "1.png")
    with pytest.raises(UserError, match=r"film has other pixels .*\): run siv_jax\.main with film and --workdir"):
        kept_input.load(folder)
    with pytest.raises(UserError, match=r"holds no whole copy of its input, and .* reads otherwise"):
        begin(folder, other, data__path=path)
    shutil.rmtree(path)
    with pytest.raises(UserError, match=r"\(0 of an unknown number\), and .* \(.*film does not exist\): run siv_jax"):
        kept_input.load(folder)


def test_another_mask_of_the_same_input_is_refused(tmp_path, source):
    folder, values = tmp_path / "run", np.zeros((1, 48, 64), np.uint8)
    values[:, :20] = 1
    other = values.copy()
    other[0, 20, 7] = 1
    masks, changed = (Masks("mask.png", one, MaskFormat(False, 2)) for one in (values, other))
    record = begin(folder, dataclasses.replace(source, masks=masks))

    # As another version of the picture's decoder might give it: the mask must still be the same.
    def frames():
        return (np.clip(frame, 3, 255) - np.uint8(3) for frame in source.frames())

    decoded = dataclasses.replace(source, frames=frames)
    coloured = dataclasses.replace(masks, format=MaskFormat(False, 2, palette=(1, 2, 3, 4, 5, 6)))
    assert begin(folder, dataclasses.replace(decoded, masks=coloured)) == record
    for one in (source, decoded):
        for found in (changed, None, dataclasses.replace(masks, format=MaskFormat(False, 3))):
            with pytest.raises(UserError, match=r"another input \(some\.png\)"):
                begin(folder, dataclasses.replace(one, masks=found))


def test_a_resumed_run_keeps_its_plan(tmp_path, source):
    folder = tmp_path / "run"
    begin(folder, source)
    lock = layout.lock(folder)
    record = start.begin(folder, toy_runs.config(), Plan(12, 16, 3), 40, source, source.digest())
    lock.release()
    assert record.plan == PLAN


def claim(folder: Path, answers) -> None:
    try:
        layout.lock(folder)
        answers.put("claimed")
        # The claimant ends without giving it back.
        answers.close()
        answers.join_thread()
        os._exit(0)
    except UserError as error:
        answers.put(str(error))


def test_a_folder_is_claimed_by_one_process_until_it_ends(tmp_path):
    processes = multiprocessing.get_context("spawn")
    answers = processes.Queue()

    def ask() -> str:
        process = processes.Process(target=claim, args=(tmp_path / "run", answers))
        process.start()
        answer = answers.get(timeout=300)
        process.join()
        return answer

    lock = layout.lock(tmp_path / "run")
    assert "in use" in ask()
    lock.release()
    assert ask() == "claimed"
    assert ask() == "claimed"


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are text on other systems")
@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        (b"B\xe4ume", {}, "B\\xe4ume is no UTF-8: rename the file or folder of that name"),
        (b"B\xe4ume", {"PYTHONUTF8": "1"}, "B\\xe4ume is no UTF-8: rename the file or folder of that name"),
        ("B\u00e4ume\u96ea".encode(), {"PYTHONUTF8": "1"}, None),
        (
            "B\u00e4ume\u96ea".encode(),
            {"PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"},
            "B\\xe4ume\\u96ea has letters that this locale, of ascii, lacks: set PYTHONUTF8=1",
        ),
    ],
)
def test_names_that_cannot_be_encoded_are_told_apart(tmp_path, name, settings, said):
    program = (
        "import sys; from pathlib import Path; from siv_jax.workdir import layout\n"
        "try: layout.lock(Path(sys.argv[1]))\n"
        "except Exception as error: print(ascii(str(error)))"
    )
    command = [sys.executable, "-c", program, os.fsencode(tmp_path) + b"/" + name]
    done = subprocess.run(command, env=tiny.environment() | settings, capture_output=True, text=True, check=True)
    if said is None:
        assert done.stdout == "" and (tmp_path / os.fsdecode(name)).is_dir()
    else:
        assert ast.literal_eval(done.stdout).encode("ascii", "backslashreplace").decode() == f"{tmp_path}/{said}"
        assert list(tmp_path.iterdir()) == []


def test_folders_of_other_things_are_refused_untouched(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(UserError, match=r"thesis\.tex"):
        layout.lock(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_hidden_files_and_a_run_killed_at_its_first_files_do_not_stand_in_the_way(tmp_path, source):
    (tmp_path / ".DS_Store").write_text("x")
    begin(tmp_path, source)
    (tmp_path / layout.CONFIG).unlink()
    (tmp_path / layout.PLAN).write_text("half")
    record = begin(tmp_path, source)
    np.testing.assert_array_equal(kept_input.load(tmp_path).resized(48, 64), source.resized(48, 64))
    assert layout.load_record(tmp_path) == record


def test_a_file_is_complete_or_as_it_was(tmp_path):
    path = tmp_path / "file"
    layout.write_atomically(path, lambda file: file.write(b"first"))

    def fail(file):
        file.write(b"second")
        raise OSError(28, os.strerror(28))

    with pytest.raises(OSError, match="No space"):
        layout.write_atomically(path, fail)
    assert path.read_bytes() == b"first" and list(tmp_path.iterdir()) == [path]
    layout.write_text(path, "thïrd")
    assert path.read_bytes() == "thïrd".encode()


@pytest.mark.parametrize(
    "text",
    ["", "[]", "[" * 100_000, '{"version": 2}', '{"version": 2, "plan": {"height": 3}, "format": {}}'],
    ids=range(5),
)
def test_a_damaged_plan_is_named(tmp_path, source, text):
    begin(tmp_path, source)
    (tmp_path / layout.PLAN).write_text(text)
    with pytest.raises(UserError, match=layout.PLAN):
        layout.load_record(tmp_path)


def test_a_plan_of_a_format_that_there_is_not_is_named(tmp_path, source):
    begin(tmp_path, source)
    values = json.loads((tmp_path / layout.PLAN).read_text())
    values["format"]["kind"] = "uint8"
    (tmp_path / layout.PLAN).write_text(json.dumps(values))
    with pytest.raises(UserError, match="kind"):
        layout.load_record(tmp_path)


@pytest.mark.parametrize(
    ("key", "name", "value"),
    [
        ("plan", "height", {"a": 1}),
        ("plan", "height", 0),
        ("plan", "hieght", 4),
        ("format", "dtype", "x"),
        ("format", "low", "black"),
    ],
)
def test_a_plan_with_values_of_other_kinds_is_refused(tmp_path, source, key, name, value):
    begin(tmp_path, source)
    values = json.loads((tmp_path / layout.PLAN).read_text())
    values[key][name] = value
    (tmp_path / layout.PLAN).write_text(json.dumps(values))
    with pytest.raises(UserError, match="put the original file back") as caught:
        layout.load_record(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("version", "said"), [(None, "siv_jax 0.1: use it there"), (99, "files of version 99")])
def test_a_workdir_of_another_version_is_refused_untouched(tmp_path, source, version, said):
    begin(tmp_path, source)
    values = json.loads((tmp_path / layout.PLAN).read_text()) | {"version": version}
    if version is None:
        del values["version"]
    (tmp_path / layout.PLAN).write_text(json.dumps(values))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for use in (layout.load_config, layout.load_record, kept_input.load, lambda folder: begin(folder, source)):
        with pytest.raises(UserError, match=said):
            use(tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_missing_frames_are_named(tmp_path, source):
    record = begin(tmp_path, source)
    layout.save(tmp_path, toy_runs.config(), dataclasses.replace(record, num_frames=0))
    with pytest.raises(UserError, match="imported weights, which have no training picture"):
        kept_input.load(tmp_path)


def test_a_record_keeps_its_pixel_format(tmp_path):
    deep = layout.Record(PLAN, PixelFormat("tiff", "uint16", 12.0, 40_000.0), "a.tif")
    layout.save(tmp_path, toy_runs.config(), deep)
    assert layout.load_record(tmp_path) == deep
