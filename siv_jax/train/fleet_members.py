"""The members of a fleet: which pictures there are, what each is called, and where each stands."""

import contextlib
import dataclasses
import os
from pathlib import Path

from siv_jax import config as config_lib
from siv_jax.config import Config, FleetConfig
from siv_jax.data import open_source
from siv_jax.data.files import FRAME_SUFFIXES
from siv_jax.data.folders import entries
from siv_jax.errors import UserError
from siv_jax.train import final_samples, memory
from siv_jax.train.single import make_task
from siv_jax.train.task import Task
from siv_jax.workdir import checkpoint, kept_input, layout, logs


@dataclasses.dataclass
class Member:
    """One picture and what becomes of it."""

    path: Path
    folder: Path  # its workdir
    config: Config  # as if it were trained alone
    task: Task | None = None
    outcome: str = "waiting"  # waiting | done | stopped | diverged | failed
    reason: str = ""  # of an outcome other than done


def survey(config: Config, folder: Path) -> list[Member]:
    """A member for each picture in config.data.path, by name: waiting, done before, or failed.

    Raises UserError: no folder there, or no picture in it.
    """
    source, names = Path(os.path.expanduser(config.data.path)), picture_names(config)
    folders = name_folders(names, folder)
    members = []
    for name in names:
        data = dataclasses.replace(config.data, path=str(source / name))
        alone = dataclasses.replace(config, data=data, fleet=FleetConfig())
        members.append(Member(source / name, folder / folders[name], alone))
        _look_at(members[-1])
    return members


def picture_names(config: Config) -> list[str]:
    """Names of the pictures in config.data.path. Raises UserError: no folder there, or no picture in it."""
    source = Path(os.path.expanduser(config.data.path))
    if not source.is_dir():
        raise UserError(f"{config.data.path or 'data.path'} is not a folder: a fleet needs a folder of pictures")
    names = [path.name for path in entries(source) if _named_as_picture(path)]
    if not names:
        raise UserError(f"{config.data.path} holds no picture: a fleet needs a folder of pictures")
    return names


def passed_over(config: Config, folder: Path) -> dict[str, str]:
    """Name -> why of what else config.data.path holds; `folder` is the fleet's own."""
    found = entries(Path(os.path.expanduser(config.data.path)))
    return {path.name: reason for path in found if path.resolve() != folder.resolve() and (reason := _no_picture(path))}


def _no_picture(path: Path) -> str:
    """Why it is none; empty for a picture."""
    if path.is_dir():
        return "a folder, not a picture"
    if not path.exists():
        return "a link to a file that is not there"
    return "" if _named_as_picture(path) else "no picture by its name; a clip is trained by itself, as data.path"


def _named_as_picture(path: Path) -> bool:
    return path.suffix.lower() in FRAME_SUFFIXES and path.is_file()


def name_folders(names: list[str], folder: Path) -> dict[str, str]:
    """A folder's name for each picture: its own, without ending where that is free, and the one it has already."""
    taken = {"summary.json": "", "fleet.json": "", "index.html": ""}
    for path in sorted(folder.glob(f"*/{layout.CONFIG}")):
        with contextlib.suppress(UserError):
            taken[path.parent.name.lower()] = Path(config_lib.load(path).data.path).name
    folders = {}
    for name in names:
        stem, suffix = Path(name).stem, Path(name).suffix[1:]
        numbered = (f"{stem}_{suffix}_{i}" for i in range(2, len(names) + 2))
        candidates = [stem, f"{stem}_{suffix}", *numbered]
        own = [candidate for candidate in candidates if taken.get(candidate.lower()) == name]
        free = [candidate for candidate in candidates if candidate.lower() not in taken]
        folders[name] = [*own, *free][0]
        taken[folders[name].lower()] = name
    return folders


def _look_at(member: Member) -> None:
    """Looks at the member's picture, plans its model, and sees what its workdir holds."""
    config = member.config
    try:
        member.task = make_task(config, open_source(config.data), shards=1)
        memory.require(member.task, 1)
        wanted, begun = member.task.num_steps, (member.folder / layout.CONFIG).exists()
        done = layout.completed_steps(member.folder)
        if begun and config.time_limit and logs.seconds_of_run(member.folder, done) >= config.seconds:
            wanted = min(wanted, layout.load_record(member.folder).num_steps)
        if done < wanted:
            return
        config_lib.refuse_changes(layout.load_config(member.folder), config, member.folder)
        record = layout.load_record(member.folder)
        same = kept_input.learns_from(member.folder, record, member.task.source, member.task.digest)
        sampled = same and final_samples.are_there(member.folder)
        if sampled and checkpoint.is_whole(member.folder / layout.CHECKPOINTS):
            member.outcome = "done"
    except UserError as error:
        member.outcome, member.reason = "failed", str(error)
