"""The command line of training: a config file, overrides of its keys, and where the run lives."""

import dataclasses
import re
from pathlib import Path

from absl import flags
from ml_collections import config_flags

from siv_jax import config as config_lib
from siv_jax.cli import config_file, process
from siv_jax.data.files import CLIP_SUFFIXES
from siv_jax.errors import UserError

_PATH = "--config.data.path"
_TRUTH = ("--dry_run", "--nodry_run", "--distributed", "--nodistributed")

USAGE = """usage: python -m siv_jax.main [PHOTO] [--config CONFIG] [--config.KEY VALUE ...] [--workdir DIR] [--dry_run]

  PHOTO                  what to train on, as --config.data.path: a picture, a clip, a folder of frames, an array
  --config CONFIG        a config file (.py, .json, .yaml), such as config.json of a run, or the name of one that comes
                         with the package: single_image. Without it quick on a CPU, single_image or single_video on
                         a GPU or TPU
  --config.KEY VALUE     another value for a setting, such as --config.data.path photo.jpg
  --workdir DIR          where the run lives; runs/NAME, after the input's name, if not given.
                         The same command on the same workdir resumes the run.
  --devices N            use only the first N devices
  --distributed          be one of several processes that train together, each with this same command; TPU slices
                         and SLURM tell each its place, elsewhere all of these do:
  --coordinator_address HOST:PORT, --num_processes N, --process_id I
                         where process 0 listens, how many there are, and which of them this is, from 0
  --dry_run              say what would be trained, and stop
"""


@dataclasses.dataclass(frozen=True)
class Job:
    """Several processes that train one model together; None: as the cluster tells JAX."""

    coordinator_address: str | None
    num_processes: int | None
    process_id: int | None


@dataclasses.dataclass(frozen=True)
class Arguments:
    config: config_lib.Config
    workdir: Path | None
    devices: int  # 0: all
    dry_run: bool
    job: Job | None  # None: this process trains alone
    chosen: str  # what to say of a config that was not given; empty if it was


def parse(argv: list[str]) -> Arguments:
    """Arguments of the training command, without the program's name.

    Raises UserError: an unknown flag or key, a value of a wrong type, or a config file that does not load.
    """
    name, photo, rest = _taken_apart(argv)
    chosen = ""
    if photo is not None:
        rest.append(f"{_PATH}={photo}")
    if name is None:
        paths = [word.partition("=")[2] for word in rest if word.startswith(f"{_PATH}=")]
        if not paths:
            raise UserError("nothing to train on: python -m siv_jax.main photo.jpg, or give --config, see --help")
        name = _usual_config(paths[-1], any(word.startswith("--distributed") for word in rest))
        chosen = f"--config {name}, chosen for this machine; single_image is the paper's setting"
    values, argv = flags.FlagValues(), ["siv_jax.main", *rest]
    config = config_file.load(name)
    flags.DEFINE_string("workdir", "", "", flag_values=values)
    flags.DEFINE_integer("devices", 0, "", lower_bound=0, flag_values=values)
    flags.DEFINE_boolean("dry_run", False, "", flag_values=values)
    flags.DEFINE_boolean("distributed", False, "", flag_values=values)
    flags.DEFINE_string("coordinator_address", None, "", flag_values=values)
    flags.DEFINE_integer("num_processes", None, "", lower_bound=1, flag_values=values)
    flags.DEFINE_integer("process_id", None, "", lower_bound=0, flag_values=values)
    try:
        config_flags.DEFINE_config_dict("config", config, flag_values=values, sys_argv=argv)
        values(argv)
    except (flags.Error, KeyError, AttributeError, TypeError, ValueError) as error:
        raise UserError(_reason(error)) from None
    return Arguments(
        config=config_lib.from_config_dict(values.config),
        workdir=process.expanded(values.workdir or None),
        devices=values.devices,
        dry_run=values.dry_run,
        job=_job(values),
        chosen=chosen,
    )


def _job(values: flags.FlagValues) -> Job | None:
    job = Job(values.coordinator_address, values.num_processes, values.process_id)
    if not values.distributed:
        given = [f"--{name}" for name, value in dataclasses.asdict(job).items() if value is not None]
        if given:
            raise UserError(f"{given[0]} is for several processes that train together: add --distributed")
        return None
    address = job.coordinator_address
    if address is not None and not (re.fullmatch(r".+:\d{1,5}", address) and int(address.split(":")[-1]) < 2**16):
        raise UserError(f"--coordinator_address {address} is not HOST:PORT, such as 10.0.0.1:8476")
    if None not in (job.num_processes, job.process_id) and job.process_id >= job.num_processes:
        raise UserError(
            f"--process_id {job.process_id} is too high: {job.num_processes} processes are numbered from 0 to "
            f"{job.num_processes - 1}"
        )
    return job


def _taken_apart(argv: list[str]) -> tuple[str | None, str | None, list[str]]:
    """The config and the picture that `argv` names, and its other flags as absl wants them, --FLAG=VALUE.

    absl takes truth values in that form only.
    """
    config, photo, rest, words = None, None, [], iter(argv)
    for word in words:
        name, equals, value = word.partition("=")
        if not word.startswith("--"):
            if photo is not None or word.startswith("-"):
                raise UserError(f"unexpected argument {word!r}; flags begin with --, see --help")
            photo = word
        elif equals or name in _TRUTH:
            config, rest = (value, rest) if name == "--config" else (config, [*rest, word])
        else:
            value = next(words, None)
            if value is None or value.startswith("--"):
                raise UserError(f"{name} needs a value; see --help")
            config, rest = (value, rest) if name == "--config" else (config, [*rest, f"{name}={value}"])
    return config, photo, rest


def _usual_config(photo: str, distributed: bool) -> str:
    """The config for a picture or a clip on this machine: quick where there are only CPUs.

    Raises UserError: several processes train, or the devices that JAX_PLATFORMS asks for are not there.
    """
    import jax

    if distributed:
        raise UserError("several processes need --config, such as --config single_image")
    process.prepare_jax()
    if jax.default_backend() == "cpu":
        return "quick"
    return "single_video" if Path(photo).is_dir() or Path(photo).suffix.lower() in CLIP_SUFFIXES else "single_image"


def _reason(error: Exception) -> str:
    if isinstance(error, flags.UnrecognizedFlagError):
        if error.flagname.startswith("config."):
            return f"unknown config key: {error.flagname.removeprefix('config.')}"
        return f"unknown flag --{error.flagname}; see --help"
    if isinstance(error, KeyError | AttributeError):
        return f"unknown config key: {_plain(error.args[0] if error.args else error)}"
    if isinstance(error, flags.Error):
        return f"{_plain(error)}; see --help"
    return f"the config does not load: {type(error).__name__}: {_plain(error)}"


def _plain(text: object) -> str:
    """`text` on one line, without the marks of Python's repr that absl and ml_collections leave in it."""
    line = " ".join(str(text).replace("\\n", " ").replace("\\'", "'").split())
    line = re.sub(r"\('(.*)', '(.*)'\)", r"\1 \2", line)
    return re.sub(r"^'+(\w+)'+ Did (.*\?)'?$", r"\1; did \2", line.strip('"'))
