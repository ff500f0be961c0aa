"""The command line of training: a config file, overrides of its keys, and where the run lives."""

import dataclasses
import re
from pathlib import Path

from absl import flags
from ml_collections import config_flags

from siv_jax import config as config_lib
from siv_jax.errors import UserError

USAGE = """usage: python -m siv_jax.main --config CONFIG [--config.KEY VALUE ...] [--workdir DIR] [--dry_run]

  --config CONFIG        a config file such as configs/single_image.py, or the name of one: single_image
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


def parse(argv: list[str]) -> Arguments:
    """Arguments of the training command, without the program's name.

    Raises UserError: an unknown flag or key, a value of a wrong type, or a config file that does not load.
    """
    values = flags.FlagValues()
    argv = ["siv_jax.main", *_as_absl_wants(argv)]
    config_flags.DEFINE_config_file("config", flag_values=values, sys_argv=argv)
    flags.DEFINE_string("workdir", "", "", flag_values=values)
    flags.DEFINE_integer("devices", 0, "", lower_bound=0, flag_values=values)
    flags.DEFINE_boolean("dry_run", False, "", flag_values=values)
    flags.DEFINE_boolean("distributed", False, "", flag_values=values)
    flags.DEFINE_string("coordinator_address", None, "", flag_values=values)
    flags.DEFINE_integer("num_processes", None, "", lower_bound=1, flag_values=values)
    flags.DEFINE_integer("process_id", None, "", lower_bound=0, flag_values=values)
    try:
        rest = values(argv)
    except Exception as error:  # absl and ml_collections raise many kinds, and a config file any at all
        raise UserError(_reason(error)) from None
    if rest[1:]:
        raise UserError(f"unexpected argument {rest[1]!r}; flags begin with --, see --help")
    if values.config is None:
        raise UserError("no --config given; for one photo: --config single_image --config.data.path photo.jpg")
    return Arguments(
        config=config_lib.from_config_dict(values.config),
        workdir=Path(values.workdir) if values.workdir else None,
        devices=values.devices,
        dry_run=values.dry_run,
        job=_job(values),
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


def config_folder() -> Path:
    """Where the configs that come with the package lie: inside an installed one, beside a checkout's."""
    package = Path(__file__).parent.parent
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"


def config_names() -> list[str]:
    """Names of the configs that come with the package, as --config takes them."""
    return sorted(path.stem for path in config_folder().glob("*.py") if path.stem != "__init__")


def _as_absl_wants(argv: list[str]) -> list[str]:
    """`argv` with the path of a config in place of its name, and `--config.KEY VALUE` as `--config.KEY=VALUE`.

    absl takes truth values in that form only.
    """
    result = [""]
    for argument in argv:
        before = result[-1]
        if argument.startswith("--config="):
            result.append(f"--config={_config_path(argument.removeprefix('--config='))}")
        elif before == "--config":
            result.append(_config_path(argument))
        elif before.startswith("--config.") and "=" not in before and not argument.startswith("--"):
            result[-1] += f"={argument}"
        else:
            result.append(argument)
    return result[1:]


def _config_path(name: str) -> str:
    stem, colon, rest = name.partition(":")
    if Path(stem).is_file():
        if Path(stem).suffix.lower() != ".py":
            advice = f"to train on it: --config single_image --config.data.path {stem}"
            raise UserError(f"{stem} is no config file; {advice}")
        return name
    packaged = config_folder() / f"{stem.removeprefix('configs/').removesuffix('.py')}.py"
    if packaged.is_file():
        return f"{packaged}{colon}{rest}"
    raise UserError(f"there is no config {stem}: give a file, or one of {', '.join(config_names())}")


def _reason(error: Exception) -> str:
    if isinstance(error, UserError):
        return str(error)
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
