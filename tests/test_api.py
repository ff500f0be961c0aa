"""siv_jax from Python: what it gives, that it is the commands' own, and what it refuses."""

import concurrent.futures
import functools
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny
from PIL import Image

import siv_jax
from siv_jax import api
from siv_jax import config as config_lib
from siv_jax.metrics import evaluation
from siv_jax.train import single
from siv_jax.workdir import layout

# ml_collections loads config files in a way that Python 3.11 deprecates.
loads_config = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """(the model of a tiny run, what was said, the steps that were watched)."""
    said, watched = [], []
    folder = tmp_path_factory.mktemp("api") / "run"
    model = siv_jax.train(tiny.config(), str(folder), devices=1, say=said.append, watch=watched.append)
    return model, said, watched


def test_importing_is_quick_and_starts_nothing():
    code = (
        "import sys, siv_jax\n"
        "siv_jax.UserError, siv_jax.__version__, dir(siv_jax)\n"
        "heavy = {'jax', 'flax', 'numpy', 'PIL', 'absl', 'ml_collections', 'optax', 'orbax'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert {'train', 'load', 'evaluate', 'Model'} <= set(dir(siv_jax))\n"
        "siv_jax.train, siv_jax.load\n"
        "from jax._src import xla_bridge\n"
        "assert not xla_bridge.backends_are_initialized()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


@pytest.mark.parametrize(
    "first",
    ["import siv_jax.evaluate", "from siv_jax import evaluate", "siv_jax.load", "from siv_jax.train import single"],
)
def test_evaluate_and_train_are_callable_and_modules_whatever_comes_first(first):
    code = (
        f"import siv_jax\n{first}\n"
        "assert callable(siv_jax.evaluate) and siv_jax.evaluate.main\n"
        "try: siv_jax.train(3)\n"
        "except siv_jax.UserError as error: assert 'not int' in str(error)\n"
        "from siv_jax.train import single\n"
        "assert siv_jax.train.single is single\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


def test_public_names_are_there_and_others_are_refused():
    assert siv_jax.__all__ == ["DivergedError", "Model", "UserError", "load", "evaluate", "train"]
    assert all(callable(getattr(siv_jax, name)) for name in siv_jax.__all__)
    for name in ("trian", "Config"):
        with pytest.raises(AttributeError, match=f"no attribute '{name}'; public are DivergedError, Model, "):
            getattr(siv_jax, name)


def test_train_returns_the_trained_model(run):
    model, said, watched = run
    assert model.step == 40 and watched == [20, 40]
    assert any(line.startswith("input     example:balloons") for line in said)
    assert repr(model) == "<siv_jax.Model of example:balloons at 64x48 after 40 steps>"
    assert model.config == tiny.config() and (model.workdir / layout.CONFIG).exists()
    plan, found = model.record.plan, model.record
    assert (plan.height, plan.width, plan.channels) == (48, 64, 3)
    assert (found.num_frames, found.source, found.format.kind) == (1, "example:balloons", "picture")


def test_samples_are_those_that_training_wrote(run):
    model, _, _ = run
    images = model.sample(4, seed=tiny.config().seed)
    assert images.dtype == np.uint8 and images.shape == (4, 48, 64, 3)
    for i, image in enumerate(images):
        written = model.workdir / layout.SAMPLES / f"sample_{i:05d}.png"
        np.testing.assert_array_equal(image, np.asarray(Image.open(written)))
    np.testing.assert_array_equal(model.sample(2, start=2), images[2:])
    assert (model.sample(4, seed=1) != images).any()
    np.testing.assert_array_equal(siv_jax.load(str(model.workdir)).sample(4), images)


def test_a_tilde_is_the_home_folder(run, tmp_path, monkeypatch):
    model, home, seen = run[0], tmp_path / "home", []
    home.mkdir()
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(home))
    (home / "run").symlink_to(model.workdir, target_is_directory=True)
    assert siv_jax.load("~/run").workdir == home / "run"
    np.save(home / "z.npy", model.latents(1))
    api.write_samples("~/run", latents="~/z.npy", out="~/samples")
    api.edit("~/run", "super_resolution", out=Path("~/large"))
    api.export_model("~/run", "~/model.safetensors")
    api.import_weights(Path("~/model.safetensors"), "~/imported")
    api.render(photo="~/samples/sample_00000.png", rough="~/samples/sample_00000.png", size="32x24", out="~/sharp")
    for name in ("samples", "large", "sharp"):
        assert (home / name / "sample_00000.png").exists()
    assert (home / "imported" / layout.CONFIG).exists()
    monkeypatch.setattr(single, "train", lambda config, folder, *_: seen.append(folder) or "SIGINT")
    with pytest.raises(KeyboardInterrupt):
        siv_jax.train(model.config, "~/new")
    assert seen == [home / "new"]
    monkeypatch.setattr(evaluation.network_weights, "require", lambda *_: None)
    with pytest.raises(siv_jax.UserError, match=f"{home / 'nothing'}"):
        siv_jax.evaluate("~/nothing")
    with pytest.raises(siv_jax.UserError, match=f"^{home / 'tables'} holds no result"):
        options = {"budget": "cpu", "rows": ("patches from noise",), "tables_only": True, "say": str}
        api.make_table("1", "~/samples", "~/tables", **options)


def test_walk_passes_its_anchors(run):
    model, _, _ = run
    images = model.interpolate(3, frames_between=4, seed=5)
    assert images.dtype == np.uint8 and images.shape == (12, 48, 64, 3)
    # Not to the last bit: the walk's latents are computed from sines.
    assert np.abs(images[::4].astype(int) - model.sample(3, seed=5)).max() <= 1
    np.testing.assert_array_equal(model.interpolate(model.latents(3, seed=5), frames_between=4), images)


def test_training_goes_on_in_a_thread(run, tmp_path):
    """Notebooks and servers train in threads, where Python handles no signals."""
    model, _, _ = run
    with concurrent.futures.ThreadPoolExecutor() as pool:
        later = pool.submit(siv_jax.train, model.config, model.workdir, {"num_steps": 50}, devices=1).result()
    assert later.step == 50 and (model.workdir / layout.GRIDS / "step_00000050.png").exists()


@pytest.mark.posix
@pytest.mark.parametrize(("name", "ended"), [("SIGINT", KeyboardInterrupt()), ("SIGHUP", SystemExit(129))])
def test_a_signal_saves_and_the_same_call_goes_on(run, tmp_path, name, ended):
    model, _, _ = run
    said = []
    again = functools.partial(siv_jax.train, model.config, tmp_path / "run", devices=1, say=said.append)
    with pytest.raises(type(ended)) as stopped:
        again(watch=lambda step: os.kill(os.getpid(), getattr(signal, name)))
    assert stopped.value.args == ended.args
    step = int(said[-1].split("after step ")[1].split(";")[0])
    assert said[-1].startswith(f"stopped by {name} after step {step}; saved") and 20 <= step < 40
    assert siv_jax.load(tmp_path / "run").step == step
    finished = again()
    assert any(line.endswith(f"after step {step}") for line in said) and finished.step == 40
    # As if it had never stopped.
    np.testing.assert_array_equal(finished.sample(4), model.sample(4))


def test_a_run_goes_on_without_the_file_it_was_made_from(tmp_path):
    said, path = [], tmp_path / "photo.png"
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    arguments = tiny.config(data__path=str(path)), tmp_path / "run", {"num_steps": 10}
    siv_jax.train(*arguments, devices=1, say=said.append)
    assert not any("cannot be read" in line for line in said)
    path.unlink()
    model = siv_jax.train(*arguments, num_steps=20, devices=1, say=said.append)
    told = f"photo.png: the original cannot be read ({path} does not exist"
    assert model.step == 20 and sum(line.startswith(f"note      {told}") for line in said) == 1, said
    with pytest.raises(siv_jax.UserError, match=r"photo\.png does not exist"):
        siv_jax.train(arguments[0], tmp_path / "other", devices=1)
    assert not (tmp_path / "other").exists()
    # As another version of a decoder might give it.
    Image.fromarray(np.clip(pixels, 3, 255) - np.uint8(3)).save(path)
    siv_jax.train(*arguments, num_steps=20, devices=1, say=said.append)
    assert f"note      photo.png is decoded a little differently now: the copy in {arguments[1]} is used" in said
    # The file that is there is looked at: another picture is another run.
    Image.fromarray(pixels[::-1]).save(path)
    with pytest.raises(siv_jax.UserError, match="trained on another input"):
        siv_jax.train(*arguments, num_steps=30, devices=1)


@loads_config
def test_configs_in_all_their_forms(monkeypatch, tmp_path):
    seen = []

    def train(config, folder, devices, dry_run, say, watch):
        seen.append((config, folder))
        return "SIGINT"

    monkeypatch.setattr(single, "train", train)
    quick = tmp_path / "mine.py"
    quick.write_text((Path(siv_jax.__file__).parent.parent / "configs" / "quick.py").read_text())
    changed = config_lib.default()
    changed.model.ch_g = 16
    for given, options in (
        (changed, {"workdir": "w"}),
        ("quick", {}),
        (quick, {"num_steps": 7, "overrides": {"data.path": Path("a.jpg"), "ema.decay": 0.5}}),
        ("folder/photo.jpg", {"overrides": {"model.ch_g": 9}}),
        (Path("clip.mp4"), {}),
    ):
        # A run that Ctrl-C stopped is not taken for a finished one.
        if given is not changed:
            options["overrides"] = {"data.max_size": 64} | options.get("overrides", {})
        else:
            options["overrides"] = {"data.path": "x.png"}
        with pytest.raises(KeyboardInterrupt):
            siv_jax.train(given, **options)
    configs, folders = zip(*seen, strict=True)
    assert folders == tuple(map(Path, ("w", "runs/balloons", "runs/a", "runs/photo", "runs/clip")))
    assert configs[0].model.ch_g == 16 and configs[0].data.path == "x.png"
    assert configs[1].optim.lr_g == 1e-3 and configs[1].data.max_size == 64
    assert configs[2].ema.decay == 0.5 and configs[2].num_steps == 7
    assert configs[2].data.path == "a.jpg" and configs[2].optim.lr_g == 1e-3
    assert configs[3].data.path == "folder/photo.jpg" and configs[3].model.ch_g == 9
    assert configs[4].num_steps == 100_000 and configs[4].data.path == "clip.mp4"


@loads_config
@pytest.mark.parametrize(
    ("arguments", "options", "complaint"),
    [
        ((3,), {}, "not int"),
        (("nothing_there.jpg",), {}, "nothing_there.jpg"),
        (("nowhere/mine.py",), {}, "there is no config nowhere/mine.py"),
        (("quick",), {"overrides": {"model.chg": 1}}, "unknown config key model.chg; did you mean model.ch_g"),
        (("quick",), {"overrides": {"data": {"path": "x"}}}, "unknown config key data"),
        (("quick",), {"num_stepps": 3}, "did you mean num_steps"),
        (("quick",), {"num_steps": 1.5}, "num_steps is 1.5; it must be a valid integer"),
        (("quick",), {"devices": -1}, "devices is -1"),
    ],
)
def test_what_train_refuses(arguments, options, complaint, tmp_path):
    with pytest.raises(siv_jax.UserError, match=complaint):
        siv_jax.train(*arguments, workdir=tmp_path / "run", **{"devices": 1} | options)
    assert not (tmp_path / "run").exists()


def test_what_a_model_refuses(run, tmp_path):
    model, _, _ = run
    for call, complaint in (
        (lambda: siv_jax.load(tmp_path / "none"), "does not exist"),
        (lambda: siv_jax.load(tmp_path), "is not the workdir of a run"),
        (lambda: model.sample(0), "n is 0"),
        (lambda: model.sample(2.0), "n is 2.0"),
        (lambda: model.sample(True), "n is True"),
        (lambda: model.sample(2, seed=-1), "seed is -1"),
        (lambda: model.sample(2, start=2**31), "start is"),
        (lambda: model.interpolate(1), "anchors is 1"),
        (lambda: model.interpolate(model.latents(1)), "the number of anchors is 1"),
        (lambda: model.interpolate(np.zeros((3, 5))), r"shape \[n, 8\]"),
        (lambda: model.interpolate(3, frames_between=0), "frames_between is 0"),
        (lambda: siv_jax.evaluate(), "give either --workdir"),
        (lambda: siv_jax.evaluate(model, num=0), "num"),
        (lambda: siv_jax.evaluate(model, cache=tmp_path), "siv_jax.weights fetch"),
        (lambda: siv_jax.train(model.config, model.workdir, {"seed": 3}, devices=1), "seed"),
    ):
        with pytest.raises(siv_jax.UserError, match=complaint):
            call()


def test_evaluate_asks_for_what_the_command_would(run, tmp_path, monkeypatch):
    model, _, _ = run
    seen = []
    monkeypatch.setattr(evaluation.network_weights, "require", lambda networks, cache: seen.append((networks, cache)))
    monkeypatch.setattr("siv_jax.metrics.measure.load_networks", lambda lpips, cache: (lpips, cache))
    monkeypatch.setattr(evaluation, "measure_all", lambda *given: seen.append(given) or {"mean": {"x": 1}})
    found = siv_jax.evaluate(model, num=3, seed=2, size=(48, 64), lpips="vgg", cache=tmp_path)
    assert found == {"mean": {"x": 1}}
    (networks, cache), (pending, name, loaded, out, _) = seen
    assert networks == ["vgg", "inception"] and cache == tmp_path and loaded == ("vgg", tmp_path)
    assert name == "run" and out == model.workdir / "evaluation"
    case = next(iter(pending))()
    assert np.abs(case.fakes.astype(int) - siv_jax.load(model.workdir).sample(3, seed=2)).max() <= 1
