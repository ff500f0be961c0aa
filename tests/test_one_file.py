"""A model as one file: what it draws after the way through the file, what it tells, and what is refused."""

import json

import filelock
import numpy as np
import pytest
import safetensors.numpy
import tiny_workdir
import toy_runs
from PIL import Image

from siv_jax import api, export, import_reference
from siv_jax.errors import UserError
from siv_jax.workdir import kept_input, layout


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    tiny_workdir.trained(folder)
    return folder


@pytest.fixture(scope="module")
def file(run):
    path = run.parent / "given" / "model.safetensors"
    export.main(["--workdir", str(run), "--out", str(path)])
    return path


def imported(file, folder, *flags):
    import_reference.main(["--weights", str(file), "--workdir", str(folder), *flags])
    return api.load(folder)


def test_the_imported_model_draws_the_same(run, file, tmp_path, capsys):
    ours, theirs = api.load(run), imported(file, tmp_path / "theirs")
    np.testing.assert_array_equal(theirs.sample(5, seed=3), ours.sample(5, seed=3))
    assert theirs.record.num_steps == 0 and theirs.record.plan == ours.record.plan
    with pytest.raises(UserError, match="imported weights, which have no training picture"):
        theirs.render(1)
    assert "next: python -m siv_jax.sample" in capsys.readouterr().out


def test_with_the_photo_it_renders_the_same(run, file, tmp_path):
    source = kept_input.load(run)
    frame = source.resized(*source.size)[0]
    Image.fromarray(frame).save(tmp_path / "photo.png")
    theirs = imported(file, tmp_path / "theirs", "--image", str(tmp_path / "photo.png"))
    np.testing.assert_array_equal(theirs.render(2), api.load(run).render(2))
    Image.fromarray(frame[:-1]).save(tmp_path / "other.png")
    height, width = frame.shape[:2]
    wanted = f"other.png is {width}x{height - 1} with 3 channels; the model learnt from a picture of {width}x{height}"
    with pytest.raises(UserError, match=wanted):
        imported(file, tmp_path / "no", "--image", str(tmp_path / "other.png"))
    assert [path.name for path in tmp_path.iterdir() if "no" in path.name] == []


def test_a_model_of_two_stages_goes_through(tmp_path):
    toy_runs.train(tmp_path / "toy")
    api.export_model(tmp_path / "toy", tmp_path / "toy.safetensors")
    theirs = imported(tmp_path / "toy.safetensors", tmp_path / "theirs")
    np.testing.assert_array_equal(theirs.sample(3), api.load(tmp_path / "toy").sample(3))


def test_the_file_says_nothing_of_the_machine_it_comes_from(run, file):
    with safetensors.safe_open(file, framework="numpy") as opened:
        texts = opened.metadata()
    assert json.loads(texts["config"])["data"]["path"] == ""
    assert str(run.parent) not in json.dumps(texts)


def test_a_file_of_another_kind_is_not_replaced(run, file, tmp_path):
    path = tmp_path / "model.safetensors"
    for content in (b"mine", safetensors.numpy.save({"a": np.zeros(3)})):
        path.write_bytes(content)
        with pytest.raises(UserError, match="is there and no model of "):
            api.export_model(run, path)
        assert path.read_bytes() == content
    path.write_bytes(file.read_bytes()[:-1] + b"x")  # an earlier export
    api.export_model(run, path)
    ours, theirs = map(safetensors.numpy.load_file, (path, file))
    for name, array in theirs.items():
        np.testing.assert_array_equal(ours[name], array)


def test_an_empty_folder_is_filled_and_two_imports_do_not_mix(file, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert imported(file, ".").sample(1).shape[0] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["here"]
    partial = tmp_path / ".there.partial"
    partial.mkdir()
    with filelock.FileLock(partial / layout.LOCK), pytest.raises(UserError, match="being made by another import"):
        imported(file, tmp_path / "there")
    assert partial.exists()
    (partial / "half").touch()  # what a kill left
    assert imported(file, tmp_path / "there").record.num_steps == 0
    assert not partial.exists() and not (tmp_path / "there" / "half").exists()


def test_what_is_no_model_is_refused_and_leaves_nothing(run, file, tmp_path):
    content = file.read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(content[: len(content) // 2])
    safetensors.numpy.save_file({"a": np.zeros(3)}, tmp_path / "other.safetensors")
    with safetensors.safe_open(file, framework="numpy") as opened:
        texts, arrays = opened.metadata(), safetensors.numpy.load_file(file)
    for name, key, text in (
        ("tree", "tree", '{"a": "nothing"}'),
        ("plan", "plan", texts["plan"].replace('"channels"', '"colours"')),
        ("older", "plan", texts["plan"].replace('"version": 2', '"version": 1')),
        ("config", "config", '{"model": {"name": "stranger"}}'),
    ):
        safetensors.numpy.save_file(arrays, tmp_path / f"{name}.safetensors", texts | {key: text})
    cut = {name: array[..., :-1] if array.ndim else array for name, array in arrays.items()}
    safetensors.numpy.save_file(cut, tmp_path / "shapes.safetensors", texts)
    for name, said in (
        ("shapes", r"shapes\.safetensors is damaged: its arrays do not fit its plan"),
        ("cut", "damaged or no safetensors file"),
        ("other", r"other\.safetensors is no model of siv_jax\.export: it has no config"),
        ("tree", "its tree of arrays cannot be read"),
        ("plan", r"plan\.safetensors is damaged: plan\.json cannot be read"),
        ("older", "another version"),
        ("config", "stranger"),
        ("none", "does not exist"),
    ):
        with pytest.raises(UserError, match=said):
            imported(tmp_path / f"{name}.safetensors", tmp_path / "new")
        assert not [path for path in tmp_path.iterdir() if "new" in path.name]
    with pytest.raises(UserError, match="it goes with --image alone"):
        imported(file, tmp_path / "new", "--model", "osmis")
    with pytest.raises(UserError, match=r"ends in \.safetensors"):
        api.export_model(run, tmp_path / "model.npz")
    with pytest.raises(UserError, match="exists and is not empty"):
        imported(file, run)
