"""The folder of a run: its names, who may write there, and files that are complete or absent."""

import dataclasses
import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest
import tiny

from siv_jax.data.pixel_format import PICTURE, PixelFormat
from siv_jax.errors import UserError
from siv_jax.models.siv_gan.plan import make_plan
from siv_jax.workdir import layout as workdir

CONFIG = tiny.config()
PLAN = make_plan(48, 64, 3, 64, CONFIG.model)
FRAMES = np.random.default_rng(0).integers(0, 256, (2, 48, 64, 3), np.uint8)
MODEL = workdir.Model(PLAN, PICTURE, "some.png", workdir.digest(FRAMES))


@pytest.mark.parametrize(
    "path, name",
    [
        ("photo.jpg", "photo"),
        ("/a/b/My Photo.v2.png", "My Photo.v2"),
        ("frames/", "frames"),
        ("frames", "frames"),
        ("example:balloons", "balloons"),
        ("tfds:davis/480p", "davis-480p"),
    ],
)
def test_a_run_without_a_workdir_is_named_after_its_input(path, name):
    assert workdir.default_workdir(path) == Path("runs") / name


def test_a_new_folder_holds_what_sampling_and_resuming_need(tmp_path):
    folder = tmp_path / "deep" / "run"
    workdir.open_for_training(folder, CONFIG, MODEL, FRAMES).release()
    assert workdir.load_model(folder) == MODEL
    np.testing.assert_array_equal(workdir.load_frames(folder), FRAMES)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    workdir.open_for_training(folder, CONFIG, MODEL, FRAMES).release()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_changed_number_of_steps_is_taken_over(tmp_path):
    workdir.open_for_training(tmp_path / "run", CONFIG, MODEL, FRAMES).release()
    longer = dataclasses.replace(CONFIG, num_steps=CONFIG.num_steps + 5)
    workdir.open_for_training(tmp_path / "run", longer, MODEL, FRAMES).release()
    assert workdir.config_lib.load(tmp_path / "run" / workdir.CONFIG) == longer


def test_other_frames_or_another_plan_are_refused(tmp_path):
    folder = tmp_path / "run"
    workdir.open_for_training(folder, CONFIG, MODEL, FRAMES).release()
    other = dataclasses.replace(MODEL, digest=workdir.digest(FRAMES[:1]))
    with pytest.raises(UserError, match=r"some\.png"):
        workdir.open_for_training(folder, CONFIG, other, FRAMES[:1])
    other = dataclasses.replace(MODEL, plan=make_plan(64, 64, 3, 64, CONFIG.model))
    with pytest.raises(UserError, match="other frames"):
        workdir.open_for_training(folder, CONFIG, other, FRAMES)
    # A refusal gives the folder back.
    workdir.open_for_training(folder, CONFIG, MODEL, FRAMES).release()


def test_the_fingerprint_knows_content_shape_and_type():
    seen = {
        workdir.digest(FRAMES),
        workdir.digest(FRAMES[::-1]),
        workdir.digest(FRAMES.reshape(1, 96, 64, 3)),
        workdir.digest(FRAMES.view(np.int8)),
        workdir.digest(FRAMES, "a text"),
    }
    assert len(seen) == 5
    assert workdir.digest(FRAMES.copy()) == MODEL.digest


def claim(folder: Path, answers) -> None:
    try:
        workdir.lock_folder(folder)
        answers.put("claimed")
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

    lock = workdir.lock_folder(tmp_path / "run")
    assert "in use" in ask()
    lock.release()
    # The claimant ends without giving it back.
    assert ask() == "claimed"
    assert ask() == "claimed"


def test_folders_of_other_things_are_refused_untouched(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(UserError, match=r"thesis\.tex"):
        workdir.lock_folder(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_hidden_files_and_a_run_killed_at_its_first_file_do_not_stand_in_the_way(tmp_path):
    (tmp_path / ".DS_Store").write_text("x")
    (tmp_path / workdir.FRAMES).write_bytes(b"half")
    workdir.open_for_training(tmp_path, CONFIG, MODEL, FRAMES).release()
    np.testing.assert_array_equal(workdir.load_frames(tmp_path), FRAMES)


def test_a_file_is_complete_or_as_it_was(tmp_path):
    path = tmp_path / "file"
    workdir.write_atomically(path, lambda file: file.write(b"first"))

    def fail(file):
        file.write(b"second")
        raise OSError(28, os.strerror(28))

    with pytest.raises(OSError, match="No space"):
        workdir.write_atomically(path, fail)
    assert path.read_bytes() == b"first" and list(tmp_path.iterdir()) == [path]
    workdir.write_atomically(path, lambda file: file.write(b"third"))
    assert path.read_bytes() == b"third"


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"plan": 1, "format": 2}', '{"plan": {"height": 3}, "format": {}}'])
def test_a_damaged_plan_is_named(tmp_path, text):
    (tmp_path / workdir.PLAN).write_text(text)
    with pytest.raises(UserError, match=workdir.PLAN):
        workdir.load_model(tmp_path)


def test_missing_and_damaged_frames_are_named(tmp_path):
    with pytest.raises(UserError, match="no training frames"):
        workdir.load_frames(tmp_path)
    for content in (b"", b"PK\x03\x04 and nothing more"):
        (tmp_path / workdir.FRAMES).write_bytes(content)
        with pytest.raises(UserError, match=workdir.FRAMES):
            workdir.load_frames(tmp_path)


def test_a_model_keeps_its_pixel_format(tmp_path):
    deep = dataclasses.replace(MODEL, format=PixelFormat("tiff", "uint16", 12.0, 40_000.0), digest="")
    workdir.save_model(tmp_path, deep)
    assert workdir.load_model(tmp_path) == deep
