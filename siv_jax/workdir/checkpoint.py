"""Orbax checkpoints of a run: written in the background, complete or absent, the last few kept.

A checkpoint holds two items: `generator`, the averaged weights and their spectral-norm vectors, which is all
that sampling reads, and `training`, the rest of the state.
"""

import contextlib
import errno
import logging
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp

from siv_jax.errors import DivergedError, UserError
from siv_jax.models.siv_gan.state import TrainState

_GENERATOR = ("ema", "vectors_g")
# Free space that a checkpoint wants beyond its arrays: it is some thirty files.
_SPARE_BYTES = 1_000_000

# Orbax reports each step of its work, and errors with their tracebacks before it raises them.
logging.getLogger("absl").setLevel(logging.CRITICAL)


class Checkpoints:
    """The checkpoints under a folder, as a context manager that finishes its writing before it closes.

    Of a job of several processes the first alone makes one.
    """

    def __init__(self, folder: Path, keep: int):
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
        self._manager = ocp.CheckpointManager(
            self._folder, options=options, item_names=("generator", "training")
        )

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_) -> None:
        with _disk_errors(self._folder):
            self._manager.close()

    def latest_step(self) -> int | None:
        """Completed steps of the newest checkpoint; None without one."""
        return self._manager.latest_step()

    def save(self, state: TrainState) -> None:
        """Starts writing `state`, a tree of numpy arrays that nothing changes any more.

        Does nothing where its step is saved already.

        Raises:
          OSError: the disk refused this checkpoint or the one before; those that were complete stay.
        """
        step = int(state.step)
        if step == self.latest_step():
            return
        args = ocp.args.Composite(
            generator=ocp.args.StandardSave(_generator_item(state)),
            training=ocp.args.StandardSave(_training_item(state)),
        )
        _require_space(self._folder, sum(leaf.nbytes for leaf in jax.tree.leaves(state)) + _SPARE_BYTES)
        with _disk_errors(self._folder):
            saved = self._manager.save(step, args=args)
        if not saved:
            raise UserError(
                f"{self._folder} already holds step {self.latest_step()}, later than step {step}: another run "
                "writes there; use another --workdir"
            )

    def wait(self) -> None:
        """Returns when everything started is written.

        Raises:
          OSError: the disk refused it.
        """
        with _disk_errors(self._folder):
            self._manager.wait_until_finished()

    def restore(self, like: TrainState) -> TrainState:
        """The newest checkpoint, as numpy arrays of the shapes and dtypes of `like`.

        Raises:
          UserError: it is damaged, or of a model of other shapes.
        """
        step = self.latest_step()
        args = ocp.args.Composite(
            generator=ocp.args.StandardRestore(_generator_item(like)),
            training=ocp.args.StandardRestore(_training_item(like)),
        )
        try:
            items = self._manager.restore(step, args=args)
            state = TrainState(**items["generator"], **items["training"])
            _require_shapes(state, like)
        except Exception as error:  # Orbax raises many kinds for a damaged folder
            raise _damaged(self._folder, step, error) from None
        return state


def completed_steps(folder: Path) -> int:
    """Completed steps of the newest checkpoint under `folder`, without opening it; 0 where there is none."""
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return max((int(name) for name in names if name.isdecimal()), default=0)


def require_finite(state: TrainState) -> None:
    """Checks a state that is to be saved.

    Raises:
      DivergedError: a value is not finite.
    """
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        if not np.isfinite(leaf).all():
            name = jax.tree_util.keystr(path, simple=True, separator="/")
            raise DivergedError(f"{name} is not finite after step {int(state.step)}")


def restore_generator(folder: Path, like: dict) -> tuple[dict, int]:
    """({"ema", "vectors_g"}, step) of the newest checkpoint under `folder`.

    Args:
      folder: of the checkpoints.
      like: the same tree with arrays of the right shapes.

    Raises:
      UserError: no checkpoint there, or a damaged one.
    """
    if not folder.is_dir():
        raise UserError(f"{folder.parent} holds no checkpoint: train there first")
    with ocp.CheckpointManager(
        folder.absolute(), options=ocp.CheckpointManagerOptions(read_only=True)
    ) as manager:
        step = manager.latest_step()
        if step is None:
            raise UserError(f"{folder.parent} holds no finished checkpoint: train there first")
        args = ocp.args.Composite(generator=ocp.args.StandardRestore(like))
        try:
            weights = manager.restore(step, args=args)["generator"]
            _require_shapes(weights, like)
        except Exception as error:  # as above
            raise _damaged(folder, step, error) from None
    return weights, step


def save_generator(folder: Path, params: np.ndarray, vectors: np.ndarray) -> None:
    """Writes generator weights alone, as step 0 of a workdir that can be sampled from but not resumed."""
    with ocp.CheckpointManager(folder.absolute()) as manager:
        item = {"ema": params, "vectors_g": vectors}
        manager.save(0, args=ocp.args.Composite(generator=ocp.args.StandardSave(item)))


def _require_shapes(found, like) -> None:
    # Orbax gives numpy arrays as they lie on disk, whatever their target's shape.
    ours, theirs = (jax.tree.map(np.shape, tree) for tree in (like, found))
    if ours != theirs:
        raise ValueError("its arrays are of another model's shapes")


def _require_space(folder: Path, needed: int) -> None:
    # Orbax, out of space in the middle, would leave the errors of its threads on the terminal.
    disk = shutil.disk_usage(folder)
    if disk.total and disk.free < needed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


@contextlib.contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    """Raises what Orbax reports of the disk in words of its own, such as ValueError, as the OSError that it is."""
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


def _damaged(folder: Path, step: int, error: Exception) -> UserError:
    reason = " ".join(str(error).split())[:200]
    return UserError(
        f"cannot restore the checkpoint {folder / str(step)}: {reason}; if it is damaged, delete that folder to "
        "go on from the one before"
    )


def _generator_item(state: TrainState) -> dict:
    return {name: getattr(state, name) for name in _GENERATOR}


def _training_item(state: TrainState) -> dict:
    return {name: value for name, value in vars(state).items() if name not in _GENERATOR}
