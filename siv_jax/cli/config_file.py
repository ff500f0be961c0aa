"""Config files: Python with a get_config(), as ml_collections has it, or JSON and YAML, which run no code."""

import importlib.util
import json
import os
from pathlib import Path

import ml_collections
import yaml
from ml_collections.config_dict.config_dict import RequiredValueError

from siv_jax import config as config_lib
from siv_jax.cli import process
from siv_jax.data.decoding import one_line
from siv_jax.errors import UserError

_DATA_SUFFIXES = (".json", ".yaml", ".yml")
_MOST_VALUES = 100_000  # in a YAML file
SUFFIXES = (".py", *_DATA_SUFFIXES)


def folder() -> Path:
    """Where the configs that come with the package lie: inside an installed one, beside a checkout's."""
    package = Path(__file__).parent.parent
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"


def names() -> list[str]:
    """Names of the configs that come with the package, as --config takes them."""
    return sorted(path.stem for path in folder().glob("*.py") if path.stem != "__init__")


def typed(given: object) -> config_lib.Config:
    """Settings that were given as a Config, a ConfigDict, a config file or its name, or as what is to be trained on.

    Raises:
      UserError: something else, no such config, or a file that does not load.
    """
    if isinstance(given, config_lib.Config):
        return given
    if isinstance(given, ml_collections.ConfigDict):
        return config_lib.from_config_dict(given)
    if not isinstance(given, str | Path):
        raise UserError(f"train takes a config, its name or a path, not {type(given).__name__}")
    stem = str(given).partition(":")[0]
    if Path(stem).suffix in SUFFIXES or stem in names():
        return config_lib.from_config_dict(load(str(given)))
    return config_lib.with_overrides(config_lib.from_config_dict(config_lib.default()), {"data.path": str(given)})


def load(given: str) -> ml_collections.ConfigDict:
    """The settings of a config file, whose keys there are, and whose values are not yet checked.

    Args:
      given: a file, or the name of one that comes with the package; of a Python file NAME:ARGUMENT passes ARGUMENT to
        get_config.

    Raises:
      UserError: no such config, or a file that does not load.
    """
    stem, _, argument = given.partition(":")
    path = process.expanded(given if os.path.isfile(given) else stem)
    if not os.path.isfile(path):  # Path.is_file raises OSError for a name that no file can have
        path = folder() / f"{stem.removeprefix('configs/').removesuffix('.py')}.py"
        if not os.path.isfile(path):
            raise UserError(f"there is no config {one_line(stem, 100)}: give a file, or one of {', '.join(names())}")
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"{path} is no config file; to train on it: python -m siv_jax.main {path}")
    found = _read(path) if path.suffix.lower() in _DATA_SUFFIXES else _call(path, argument)
    if not isinstance(found, ml_collections.ConfigDict | dict):
        raise UserError(
            f"get_config() of {path} returns {type(found).__name__}; it must return config.default() with changes"
        )
    if isinstance(found, dict):
        _require_names(found, path)
    try:
        settings = _with_defaults(found) if isinstance(found, dict) else found
        config_lib.require_known(settings.to_dict())
    except RequiredValueError:
        raise UserError(f"{path} leaves a required placeholder without a value: give it one there") from None
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return settings


def read_yaml(text: str) -> object:
    """What YAML holds, which anchors may repeat, but not without end.

    Raises ValueError, RecursionError or yaml.YAMLError: it cannot be read, has a key twice in one place, or holds more
    values than any settings.
    """
    found = yaml.load(text, _Loader)
    left, count = [found], 0
    while left:
        value, count = left.pop(), count + 1
        if count > _MOST_VALUES:
            raise ValueError(f"it holds more than {_MOST_VALUES:,} values: anchors that repeat too much, or themselves")
        if isinstance(value, dict | list | tuple | set):
            left += [*value, *value.values()] if isinstance(value, dict) else value
    return found


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice in one place, of which YAML would take the last."""

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        node, seen = super().compose_mapping_node(anchor), set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in seen:
                    raise yaml.MarkedYAMLError(problem=_doubled(key.value), problem_mark=key.start_mark)
                seen.add((key.tag, key.value))
        return node


def _once(pairs: list[tuple[str, object]]) -> dict:
    """An object of JSON. Raises ValueError: a key stands in it twice."""
    found = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(_doubled(key))
        found[key] = value
    return found


def _doubled(key: str) -> str:
    return f"the key {one_line(key, 100)} stands there twice"


def _call(path: Path, argument: str) -> object:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        if not callable(getattr(module, "get_config", None)):
            raise UserError(f"{path} has no function get_config(); see {folder() / 'quick.py'}")
        return module.get_config(argument) if argument else module.get_config()
    except UserError:
        raise
    except SyntaxError as error:
        line = f"line {error.lineno}: " if error.lineno else ""  # a null byte has none
        raise UserError(f"{path} does not load: {line}{error.msg}") from None
    except (Exception, SystemExit) as error:  # a config file is a program and may raise anything
        raise UserError(f"{path} does not load: {_line(error, path)}{type(error).__name__}: {error}") from None


def _line(error: Exception, path: Path) -> str:
    """Where in `path` it was raised, "line 7: ", or nothing."""
    trace, number = error.__traceback__, None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path.absolute()):
            number = trace.tb_lineno
        trace = trace.tb_next
    return f"line {number}: " if number else ""


def _read(path: Path) -> dict:
    try:
        text = path.read_text(encoding="utf-8")
        values = json.loads(text, object_pairs_hook=_once) if path.suffix.lower() == ".json" else read_yaml(text)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise UserError(f"{path} does not load: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path} holds no settings: they look like num_steps: 5000")
    return values


def _with_defaults(values: dict) -> ml_collections.ConfigDict:
    """The defaults of the model that `values` name, with `values` laid over them."""
    merged = config_lib.default(config_lib.model_name(values)).to_dict()
    for key, value in values.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = merged[key] | value
        else:
            merged[key] = value
    return ml_collections.ConfigDict(merged)


def _require_names(values: dict, path: Path) -> None:
    for key, value in values.items():
        if not isinstance(key, str) or "." in key:
            raise UserError(f"{path} has the key {key!r}: keys are names of settings, in groups as in config.json")
        if isinstance(value, dict):
            _require_names(value, path)
