"""Settings: what is refused, what survives JSON, what may change on resuming, and that each is read somewhere."""

import ast
import dataclasses
import functools
import json
from pathlib import Path

import pytest

import siv_jax
from siv_jax import config as config_lib
from siv_jax.cli import config_file
from siv_jax.cli import training_flags as arguments
from siv_jax.errors import UserError
from siv_jax.models.siv_gan.config import Config

FLAT = config_lib.flatten(Config())
NUMBERS = [key for key, value in FLAT.items() if type(value) in (int, float)]
TEXTS = [key for key, value in FLAT.items() if type(value) is str]
FLAGS = [key for key, value in FLAT.items() if type(value) is bool]
FREE_TEXTS = {"data.path", "data.mask", "data.tfds_split", "data.tfds_feature"}


def build(**changes) -> Config:
    """The default settings with `changes`, given with __ for the dot."""
    return config_lib.with_overrides(Config(), {name.replace("__", "."): value for name, value in changes.items()})


def nested(key: str, value) -> dict:
    """What a config file that sets this key alone amounts to."""
    values = dataclasses.asdict(Config())
    *groups, last = key.split(".")
    functools.reduce(dict.__getitem__, groups, values)[last] = value
    return values


def refused(key: str, value) -> str:
    with pytest.raises(UserError) as error:
        config_lib.from_dict(nested(key, value))
    assert key in str(error.value)
    return str(error.value)


def test_the_default_is_the_papers_setting():
    # Table of the paper's text and the as-run facts: any slip here silently changes every run.
    assert config_lib.from_config_dict(config_lib.default()) == Config()
    assert (FLAT["num_steps"], FLAT["batch_size"], FLAT["data.max_size"]) == (100_000, 5, 330)
    assert (FLAT["model.ch_g"], FLAT["model.ch_d"], FLAT["model.noise_dim"]) == (32, 32, 64)
    assert (FLAT["optim.lr_g"], FLAT["optim.lr_d"]) == (2e-4, 2e-4)
    assert (FLAT["optim.beta1"], FLAT["optim.beta2"], FLAT["optim.eps"]) == (0.5, 0.999, 1e-8)
    assert (FLAT["loss.diversity_weight"], FLAT["loss.adversarial"]) == (0.15, "bce")
    assert (FLAT["loss.balance"], FLAT["loss.diversity_scale"]) == ("as_run", "as_run")
    assert (FLAT["augment.image"], FLAT["augment.feature"], FLAT["ema.decay"]) == (0.7, 0.4, 0.9999)


@pytest.mark.parametrize("key", ["stepz", "data.pth", "model.chg", "optim.lr", "ema.rate", "loss.lambda"])
def test_an_unknown_key_is_named(key):
    assert "unknown config key" in refused(key, 1)


@pytest.mark.parametrize("key", FLAT)
def test_a_value_of_another_type_is_refused(key):
    wrong = {str: 7, int: 1.5, float: "x", bool: 1, tuple: (1, 2)}[type(FLAT[key])]
    assert repr(wrong) in refused(key, wrong)


@pytest.mark.parametrize("key", NUMBERS)
def test_a_number_out_of_range_is_refused_with_the_end_of_the_range(key):
    kind = type(FLAT[key])
    low = float(refused(key, kind(-1)).rsplit("; it must be greater than or equal to ", 1)[1])
    high = float(refused(key, kind(10**12)).rsplit("; it must be less than or equal to ", 1)[1])
    assert low <= FLAT[key] <= high
    for end in (low, high):
        pairs = {"loss__diversity": "none"} if key == "batch_size" else {}
        assert config_lib.flatten(build(**pairs | {key.replace(".", "__"): kind(end)}))[key] == end
    if kind is float:
        assert "finite" in refused(key, float("nan")) and "finite" in refused(key, float("inf"))


@pytest.mark.parametrize("key", sorted(set(TEXTS) - FREE_TEXTS))
def test_a_choice_that_is_not_there_is_refused_with_those_that_are(key):
    assert FLAT[key] in refused(key, "surely-not")


def test_a_model_that_is_not_there_is_refused_with_those_that_are():
    assert "siv_gan" in refused("model.name", "surely-not")
    with pytest.raises(UserError, match=r"model\.name is 'surely-not'"):
        config_lib.default("surely-not")


@pytest.mark.parametrize("background", [(1, 2), (1, 2, 3, 4), (), "red", 3])
def test_a_background_is_three_numbers(background):
    message = refused("data.background", background)
    assert repr(background) in message and "Tuple" not in message and "\n" not in message


def test_a_whole_number_serves_as_a_float_but_not_a_truth_value():
    assert build(optim__lr_g=1).optim.lr_g == 1.0
    refused("optim.lr_g", True)
    refused("num_steps", True)


def test_a_group_is_not_a_value_and_a_value_not_a_group():
    assert "group" in refused("data", 3)
    refused("num_steps", {"a": 1})


@pytest.mark.parametrize(
    "changes, names",
    [
        ({"data__start": 2.0, "data__end": 1.0}, ("data.start", "data.end")),
        ({"data__start": 2.0, "data__end": 2.0}, ("data.start", "data.end")),
        ({"batch_size": 1}, ("loss.diversity", "batch_size")),
        ({"batch_size": 1, "loss__diversity": "image"}, ("loss.diversity", "batch_size")),
        ({"batch_size": 1, "loss__diversity": "ds"}, ("loss.diversity", "batch_size")),
        ({"data__background": (0, 0, 256)}, ("data.background",)),
        ({"data__background": (0, 0, -1)}, ("data.background",)),
    ],
)
def test_settings_at_odds_are_refused(changes, names):
    with pytest.raises(UserError) as error:
        build(**changes)
    assert all(name in str(error.value) for name in names)


@pytest.mark.parametrize("diversity", ["none", "zcr"])
def test_a_batch_of_one_needs_no_pairs(diversity):
    assert build(batch_size=1, loss__diversity=diversity).batch_size == 1


def test_json_brings_back_the_same_config(tmp_path):
    config = build(
        seed=2**32 - 1, data__background=(1, 2, 3), data__path="ä b.png", optim__eps=1e-17, ema__warmup=False
    )
    path = tmp_path / "config.json"
    path.write_text(config_lib.to_json(config))
    assert config_lib.load(path) == config
    assert config_lib.from_dict(json.loads(config_lib.to_json(config))) == config


@pytest.mark.parametrize("text", ["", "[1]", "{", '{"num_steps": "many"}', '{"nmu_steps": 3}', "\x00\xff"])
def test_a_damaged_config_file_is_refused(tmp_path, text):
    path = tmp_path / "config.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError):
        config_lib.load(path)


def test_a_missing_config_file_names_the_folder(tmp_path):
    with pytest.raises(UserError, match=str(tmp_path)):
        config_lib.load(tmp_path / "config.json")


def test_refuse_changes_names_every_key_that_matters_and_only_those(tmp_path):
    saved = Config()
    asked = build(seed=3, optim__lr_g=1e-3, loss__adversarial="hinge", num_steps=7, data__path="elsewhere.png")
    with pytest.raises(UserError) as error:
        config_lib.refuse_changes(saved, asked, tmp_path)
    message = str(error.value)
    for expected in ("seed (0 there, 3 asked)", "optim.lr_g", "loss.adversarial ('bce' there, 'hinge' asked)"):
        assert expected in message
    assert "num_steps" not in message and "data.path" not in message and str(tmp_path) in message


@pytest.mark.parametrize("key", sorted(set(FLAT) - {"model.name"}))
def test_each_key_is_free_on_resuming_or_refused(key, tmp_path):
    others = {str: "hinge", bool: not FLAT[key], tuple: (1, 2, 3), int: 2, float: 0.25}
    choices = {"model.branches": "none", "model.dtype": "float32", "loss.balance": "paper", "loss.diversity": "zcr"}
    choices |= {"time_limit": "2m", "loss.diversity_scale": "paper", "data.max_size": 64, "model.ch_d": 8}
    other = choices.get(key, others[type(FLAT[key])])
    free = key in {
        *("num_steps", "log_every", "sample_every", "checkpoint_every", "keep_checkpoints", "data.path", "data.mask"),
        *("profile", "model.remat", "time_limit", "rendered_size", "candidates"),
    }
    asked = build(**{key.replace(".", "__"): other})
    assert config_lib.flatten(asked)[key] != FLAT[key]
    if free:
        config_lib.refuse_changes(Config(), asked, tmp_path)
    else:
        with pytest.raises(UserError, match=f"{key} "):
            config_lib.refuse_changes(Config(), asked, tmp_path)


@functools.cache
def reads() -> set[tuple[str, str]]:
    """(last name before the dot, name after it) of every attribute that siv_jax reads, config.py aside."""
    found = set()
    for path in Path(siv_jax.__file__).parent.rglob("*.py"):
        if path.name == "config.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                owner = node.value
                name = owner.id if isinstance(owner, ast.Name) else getattr(owner, "attr", "")
                found.add((name.lstrip("_"), node.attr))
    return found


@pytest.mark.parametrize("key", FLAT)
def test_every_key_is_read(key):
    group, _, name = key.rpartition(".")
    owners = {"config", group} if group else {"config"}
    assert any((owner, name) in reads() for owner in owners), f"nobody reads {key}"


CONFIGS = sorted(path.stem for path in config_file.folder().glob("*.py") if path.stem != "__init__")


def test_the_named_configs_are_there():
    assert {"single_image", "single_video", "quick"} <= set(CONFIGS)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_config_file_builds_by_name_and_by_path(name):
    by_name = arguments.parse(["--config", name]).config
    by_path = arguments.parse([f"--config={config_file.folder() / name}.py"]).config
    assert by_name == by_path
    config_lib.refuse_changes(by_name, by_name, Path("."))
    docstring = ast.get_docstring(ast.parse((config_file.folder() / f"{name}.py").read_text()))
    assert f"--config {name}" in docstring, "its header gives the command"


def test_the_configs_differ_where_they_say():
    quick = arguments.parse(["--config", "quick"]).config
    assert quick.data.path.startswith("example:") and quick.num_steps < 10_000
    assert quick.optim.lr_g > Config().optim.lr_g and quick.loss.diversity_weight < Config().loss.diversity_weight
    assert arguments.parse(["--config", "single_image"]).config == Config()
    assert arguments.parse(["--config", "single_video"]).config == dataclasses.replace(Config(), num_steps=300_000)
