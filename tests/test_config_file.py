"""Config files: as data, which runs no code, and as Python, whose faults are told in one line."""

import json

import pytest

from siv_jax import config as config_lib
from siv_jax.cli import config_file, training_flags
from siv_jax.errors import UserError


def load(path) -> config_lib.Config:
    return config_lib.from_config_dict(config_file.load(str(path)))


def test_json_and_yaml_give_what_python_gives(tmp_path):
    (tmp_path / "own.py").write_text(
        "from siv_jax import config\n"
        "def get_config():\n    c = config.default()\n    c.num_steps = 7\n    c.model.ch_g = 4\n    return c\n"
    )
    (tmp_path / "own.json").write_text(json.dumps({"num_steps": 7, "model": {"ch_g": 4}}))
    (tmp_path / "own.yaml").write_text("num_steps: 7\nmodel:\n  ch_g: 4\n")
    (tmp_path / "dict.py").write_text("def get_config():\n    return {'num_steps': 7, 'model': {'ch_g': 4}}\n")
    expected = load(tmp_path / "own.py")
    assert (expected.num_steps, expected.model.ch_g, expected.model.ch_d) == (7, 4, 32)
    for name in ("own.json", "own.yaml", "dict.py"):
        assert load(tmp_path / name) == expected


def test_the_saved_config_of_a_run_is_a_config_file(tmp_path):
    quick = load("quick")
    (tmp_path / "config.json").write_text(config_lib.to_json(quick))
    assert load(tmp_path / "config.json") == quick


def test_a_merged_key_of_yaml_may_be_given_again():
    merged = config_file.read_yaml("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\n")
    assert merged["b"] == {"x": 3, "y": 2}


def test_values_of_a_config_file_may_yet_be_replaced_and_keys_may_not(tmp_path):
    path, override = tmp_path / "own.yaml", "--config.num_steps=7"
    path.write_text("num_steps: 0")
    with pytest.raises(UserError, match=r"^config key num_steps is 0"):
        training_flags.parse(["--config", str(path)])
    assert training_flags.parse(["--config", str(path), override]).config.num_steps == 7
    path.write_text("data: 5")
    with pytest.raises(UserError, match=r"own.yaml: config key data is a group of settings, not 5"):
        training_flags.parse(["--config", str(path), "--config.data.path=photo.jpg"])


def test_a_required_placeholder_without_a_value_is_one_line(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(
        "from ml_collections import config_dict\nfrom siv_jax import config\ndef get_config():\n"
        "    c = config.default()\n    c.seed = config_dict.required_placeholder(int)\n    return c\n"
    )
    with pytest.raises(UserError, match=r"own.py leaves a required placeholder without a value"):
        load(path)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.py", "def get_config(:\n", "does not load: line 1: "),
        ("a.py", "x = 1\n\n1 / 0\n", "does not load: line 3: ZeroDivisionError: division by zero"),
        ("a.py", "def get_config():\n    return nothing\n", "does not load: line 2: NameError: name 'nothing'"),
        ("a.py", "x = 1\n", r"has no function get_config\(\)"),
        ("a.py", "def get_config():\n    pass\n", r"get_config\(\) of .*a.py returns NoneType; it must return config"),
        ("a.py", "def get_config():\n    raise SystemExit(0)\n", "a.py does not load: line 2: SystemExit: 0"),
        ("a.py", "x = 1\n\0", "a.py does not load: source code string cannot contain null bytes"),
        ("a.py", "def get_config():\n    return {'data': 5}\n", "a.py: config key data is a group of settings, not 5"),
        ("a.json", '{"data": 5}', "a.json: config key data is a group of settings, not 5"),
        ("a.json", '{"seed": 1, "seed": 2}', "a.json does not load: the key seed stands there twice"),
        ("a.yaml", "seed: 1\nmodel: {ch_g: 1, ch_g: 2}", "the key ch_g stands there twice in .*, line 2, column 18"),
        ("a.json", "{", "does not load: Expecting property name"),
        ("a.json", "[1]", "holds no settings"),
        ("a.json", "[" * 100_000, "does not load"),
        ("a.yaml", "a: [1", "does not load: while parsing"),
        ("a.yaml", "1: 2", "has the key 1: keys are names"),
        ("a.yaml", "loss: {1: 2}", "has the key 1: keys are names"),
        ("a.yaml", "model.ch_g: 4", "has the key 'model.ch_g': keys are names of settings, in groups"),
        ("a.yaml", "!!python/object/apply:os.system [true]", "does not load: could not determine a constructor"),
        ("a.yaml", "num_steps: &a [*a]", "does not load: it holds more than 100,000 values: anchors that repeat"),
        ("a.yaml", f"a: &a {[0] * 999}\nb: [{'*a, ' * 999}]", "does not load: it holds more than 100,000 values"),
        ("a.yaml", f"num_steps: {[0] * 9999}", r"config key num_steps is \[0, .{150,200}\.\.\.; it must be"),
        ("a.yaml", "num_stepz: 3", "a.yaml: unknown config key num_stepz; did you mean num_steps?"),
        ("a.yaml", "model: {name: nobody}", "a.yaml: .*nobody"),
        ("a.yaml", "model: 3", "config key model is a group of settings, not 3"),
        ("a.yaml", "num_steps: many", "config key num_steps is 'many'"),
        ("a.txt", "", "is no config file"),
        ("é" * 300, None, "there is no config .*ééé"),
    ],
)
def test_faults_of_a_config_file_are_one_line(tmp_path, name, text, said):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=said) as refused:
        load(tmp_path / name)
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 1000
