"""Orbax checkpoints of a run: written in the background, complete or absent, the last few kept.

A checkpoint holds two items: `weights`, all that sampling reads, and `rest`, the other arrays of the training state,
with the stage and the steps completed in it.
"""

import contextlib
import dataclasses
import errno
import functools
import itertools
import logging
import os
import re
import shutil
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from siv_jax.errors import DivergedError, UserError
from siv_jax.workdir.refusals import refused

Tree = Any
Weights = Callable[[Tree], Tree]  # see siv_jax.models.interface.Stage.weights

# Checksums tell a flipped bit, which the format of the arrays does not.
_ITEMS = ("weights", "rest", "checksums")
# Ending of a folder whose checkpoint is damaged.
_DAMAGED = ".damaged"
_NO_OTHER = "there is no other: begin again in another --workdir"
# Free space that a checkpoint wants beyond its arrays: it is some thirty files.
_SPARE_BYTES = 1_000_000

# Orbax reports each step of its work, and errors with their tracebacks before it raises them.
logging.getLogger("absl").setLevel(logging.CRITICAL)


class _DamageError(UserError):
    """A checkpoint is not what was saved."""


@dataclasses.dataclass(frozen=True)
class Saved:
    """A checkpoint's content, as numpy arrays.

    stage: number of the stage, from 0. step: completed steps of that stage.
    """

    stage: int
    step: int
    weights: Tree
    rest: dict[str, np.ndarray]

    def state(self, like: Tree, weights: Weights) -> Tree:
        """The training state, for `like`, a state of the same stage, of arrays or `jax.ShapeDtypeStruct`.

        `weights` is that stage's. Raises ValueError: the arrays are those of another model.
        """
        leaves, treedef = jax.tree.flatten(like)
        in_weights = zip(_positions(leaves, weights(like)), jax.tree.leaves(self.weights), strict=True)
        saved = dict(in_weights) | self.rest
        if saved.keys() - {"stage", "step"} != {str(i) for i in range(len(leaves))}:
            raise ValueError("it has another model's arrays")
        found = [saved[str(i)] for i in range(len(leaves))]
        for leaf, ours in zip(found, leaves, strict=True):
            if leaf.shape != ours.shape or leaf.dtype != ours.dtype:
                raise ValueError("its arrays are of another model's shapes")
        return treedef.unflatten(found)


class Checkpoints:
    """The checkpoints under a folder, as a context manager that finishes its writing before it closes.

    In a job of several processes only the first makes one.
    """

    def __init__(self, folder: Path, keep: int):
        _ignore_late_answers()
        self._folder = folder.absolute()
        # Orbax makes no folder by itself where not all processes of a job take part.
        self._folder.mkdir(parents=True, exist_ok=True)
        first = jax.process_index()
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep,
            enable_async_checkpointing=True,
            cleanup_tmp_directories=True,
            create=False,
            multiprocessing_options=ocp.options.MultiprocessingOptions(primary_host=first, active_processes={first}),
        )
        self._manager = ocp.CheckpointManager(self._folder, options=options, item_names=_ITEMS)

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_) -> None:
        with _disk_errors(self._folder):
            self._manager.close()

    def latest_step(self) -> int | None:
        """Completed steps, over all stages, of the newest checkpoint; None without one."""
        return self._manager.latest_step()

    def save(self, total: int, stage: int, step: int, state: Tree, weights: Weights) -> None:
        """Starts writing `state`, a tree of numpy arrays that nothing changes any more.

        Does nothing where `total`, the completed steps over all stages, is saved already.

        Raises OSError: the disk refused this checkpoint or the one before; those that were complete stay.
        """
        if total == self.latest_step():
            return
        leaves, of_sampling = jax.tree.leaves(state), weights(state)
        in_weights = set(_positions(leaves, of_sampling))
        rest = {str(i): np.asarray(leaf) for i, leaf in enumerate(leaves) if str(i) not in in_weights}
        rest |= {"stage": np.array(stage, np.int32), "step": np.array(step, np.int32)}
        _require_space(self._folder, sum(leaf.nbytes for leaf in leaves) + _SPARE_BYTES)
        with _disk_errors(self._folder):
            args = {"weights": ocp.args.StandardSave(of_sampling), "rest": ocp.args.StandardSave(rest)}
            args["checksums"] = ocp.args.JsonSave({"weights": _checksum(of_sampling), "rest": _checksum(rest)})
            saved = self._manager.save(total, args=ocp.args.Composite(**args))
        if not saved:
            raise UserError(
                f"{self._folder} already holds step {self.latest_step()}, later than step {total}: another run "
                "writes there; use another --workdir"
            )

    def wait(self) -> None:
        """Returns when everything started is written. Raises OSError: the disk refused it."""
        with _disk_errors(self._folder):
            self._manager.wait_until_finished()

    def restore(self) -> tuple[Saved, list[str]]:
        """The newest checkpoint that is whole, and a line about each damaged one, whose folder gets another name.

        Raises UserError: the only one is damaged, or the system refuses to read one.
        """
        notes: list[str] = []
        while True:
            step = self.latest_step()
            try:
                return _restored(self._manager, self._folder, step, ("weights", "rest")), notes
            except _DamageError as damage:
                if len(self._manager.all_steps()) < 2:
                    raise UserError(f"{damage}; {_NO_OTHER}") from None
                aside = _set_aside(self._folder / str(step))
                self._manager.reload()
                notes.append(f"{damage}: it is {aside} now, the one before is used")


def require_finite(state: Tree, step: int) -> None:
    """Checks a state that is to be saved. Raises DivergedError: a value is not finite."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        if not np.isfinite(leaf).all():
            name = jax.tree_util.keystr(path, simple=True, separator="/")
            raise DivergedError(f"{name} is not finite after step {step}")


def restore_weights(folder: Path) -> tuple[Tree, int]:
    """(weights, completed steps) of the newest checkpoint under `folder`.

    Raises UserError: no checkpoint there, a damaged one, or one that the system refuses to read.
    """
    try:
        saved, steps = _newest(folder, ("weights",))
    except _DamageError as damage:
        others = sum(path.name.isdecimal() for path in folder.iterdir()) > 1
        remedy = "go on training there, which takes up the one before" if others else _NO_OTHER
        raise UserError(f"{damage}; {remedy}") from None
    return saved.weights, steps


def is_whole(folder: Path) -> bool:
    """Whether the newest checkpoint under `folder` is what was saved.

    Raises UserError: no checkpoint there, or one that the system refuses to read.
    """
    try:
        _newest(folder, ("weights", "rest"))
    except _DamageError:
        return False
    return True


def _newest(folder: Path, items: tuple[str, ...]) -> tuple[Saved, int]:
    none = UserError(f"{folder.parent} holds no finished checkpoint: train there first")
    if not folder.is_dir():
        raise none
    options = ocp.CheckpointManagerOptions(read_only=True)
    with ocp.CheckpointManager(folder.absolute(), options=options, item_names=_ITEMS) as manager:
        steps = manager.latest_step()
        if steps is None:
            raise none
        return _restored(manager, folder, steps, items), steps


def save_weights(folder: Path, weights: Tree) -> None:
    """Writes weights alone, as step 0 of a workdir that can be sampled from but not resumed."""
    with ocp.CheckpointManager(folder.absolute(), item_names=_ITEMS) as manager:
        checksums = ocp.args.JsonSave({"weights": _checksum(weights)})
        manager.save(0, args=ocp.args.Composite(weights=ocp.args.StandardSave(weights), checksums=checksums))


def _restored(manager: ocp.CheckpointManager, folder: Path, step: int, items: tuple[str, ...]) -> Saved:
    _ignore_late_answers()
    try:
        # Without a target Orbax gives numpy arrays as they lie on disk.
        args = {item: ocp.args.StandardRestore() for item in items}
        found = manager.restore(step, args=ocp.args.Composite(**args, checksums=ocp.args.JsonRestore()))
        if any(found["checksums"][item] != _checksum(found[item]) for item in items):
            raise ValueError("its arrays are not what was saved")
        rest = found["rest"] if "rest" in items else {"stage": 0, "step": step}
        return Saved(int(rest["stage"]), int(rest["step"]), found["weights"], rest)
    except Exception as error:  # Orbax raises many kinds for a damaged folder
        checkpoint, reason = folder / str(step), " ".join(str(error).split())[:200]
        if refusal := refused(error, checkpoint):
            raise UserError(
                f"the checkpoint {checkpoint} cannot be read: {refusal}; nothing is changed, try again when it can be"
            ) from None
        raise _DamageError(f"the checkpoint {checkpoint} is damaged ({reason})") from None


def _set_aside(checkpoint: Path) -> str:
    """Gives a damaged checkpoint a name that is free, which it returns."""
    candidates = itertools.chain([_DAMAGED], (f"{_DAMAGED}_{number}" for number in itertools.count(2)))
    aside = next(path for ending in candidates if not (path := checkpoint.with_name(checkpoint.name + ending)).exists())
    checkpoint.rename(aside)
    return aside.name


@functools.cache
def _ignore_late_answers() -> None:
    """Hides that TensorStore answers a reader or writer that a damaged file or a full disk has ended meanwhile.

    Python would print a traceback of it, though what ended is said in a line.
    """
    shown = sys.unraisablehook

    def show(unraisable) -> None:
        if not (isinstance(unraisable.exc_value, RuntimeError) and str(unraisable.exc_value) == "Event loop is closed"):
            shown(unraisable)

    sys.unraisablehook = show


def _checksum(tree: Tree) -> int:
    """CRC-32 of all arrays, in the order of the tree."""
    return functools.reduce(lambda found, leaf: zlib.crc32(np.ascontiguousarray(leaf), found), jax.tree.leaves(tree), 0)


def _positions(leaves: list, weights: Tree) -> list[str]:
    """The index of each leaf of `weights` among the state's `leaves`, found by identity."""
    numbers = {id(leaf): str(i) for i, leaf in enumerate(leaves)}
    return [numbers[id(leaf)] for leaf in jax.tree.leaves(weights)]


def _require_space(folder: Path, needed: int) -> None:
    # If space ran out while Orbax writes, its threads would print their errors on the terminal.
    disk = shutil.disk_usage(folder)
    if disk.total and disk.free < needed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


@contextlib.contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    """Turns errors of the disk that Orbax raises as other exceptions, such as ValueError, into OSError."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        code = re.search(r"os_error_code='(\d+)'", str(error))
        if code is None:
            raise
        number = int(code.group(1))
        raise OSError(number, os.strerror(number), str(folder)) from None
