"""A job of several processes, on one machine or on many: joining it, deciding together, and leaving it.

All of them run the same command; the first one alone locks, reads and writes the workdir.
"""

import contextlib
import hashlib
import os
import socket
import sys
import traceback
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from siv_jax.cli import process
from siv_jax.cli.training_flags import Job
from siv_jax.errors import DivergedError, UserError

# Exit code of a process whose job fell apart around it.
LOST_CODE = 4
# Others may come up late: a slice of machines takes its time.
_SECONDS_TO_JOIN = 300
# A lost machine is noticed within this time.
_HEARTBEAT_SECONDS = 30
# The first process draws the samples while the others wait to leave.
_SECONDS_TO_LEAVE = 3600
TIME_UP = "time limit"
_REASONS = (None, TIME_UP, *process.STOPPED_BY)


@contextlib.contextmanager
def joined(job: Job | None) -> Iterator[None]:
    """Makes this process one of a job's inside the block, which must be its first use of JAX; alone for None.

    UserError and DivergedError are raised in all processes alike and pass through. Any other error ends this process
    at once with one line: the other processes do not know of it, so it must not wait for them.

    Raises UserError: the job cannot be joined.
    """
    if job is None:
        yield
        return
    _initialize(job)
    try:
        yield
    except (UserError, DivergedError, SystemExit):
        raise
    except BaseException as error:
        _end_at_once(error)
    jax.distributed.shutdown()


def is_first() -> bool:
    """Whether this process writes what all of them share."""
    return jax.process_index() == 0


def say(line: str) -> None:
    """Prints a line that would be the same in every process, once."""
    if is_first():
        print(line, flush=True)


def agree(count: int, stop: str | None) -> tuple[int, str | None]:
    """The same decision in every process.

    Returns:
      The smallest count, and a reason to stop that any of them has: a signal's name or TIME_UP.
    """
    if jax.process_count() == 1:
        return count, stop
    wishes = _gathered(np.array([count, -_REASONS.index(stop)], np.int32))
    smallest, signal = wishes.min(axis=0)
    return int(smallest), _REASONS[-signal]


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Runs a block that may fail in some processes only; then it fails in all.

    Raises UserError: the block's own here, or word that it failed elsewhere.
    """
    failure = None
    try:
        yield
    except (UserError, BrokenPipeError) as error:
        failure = error
    except OSError as error:
        failure = UserError(process.os_error_line(error))
    failed = failure is not None
    if jax.process_count() > 1:
        failed = bool(_gathered(np.array([failed])).any())
    if failure is not None:
        raise failure
    if failed:
        raise UserError("another process of this job cannot begin; what it printed says why")


def require_same(text: str, what: str) -> None:
    """Refuses to go on where processes hold different things.

    Args:
      text: what has to be the same.
      what: its name in the message.

    Raises UserError: in every process, where one differs.
    """
    if jax.process_count() == 1:
        return
    digests = _gathered(np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint8))
    if (digests != digests[0]).any():
        raise UserError(f"the processes of this job were given different {what}: all need the same command and input")


def from_first(tree: Any) -> Any:
    """The first process's numpy arrays in all of them; every process brings the same shapes."""
    if jax.process_count() == 1:
        return tree
    return jax.tree.map(np.asarray, multihost_utils.broadcast_one_to_all(tree))


def _initialize(job: Job) -> None:
    if job.process_id == 0 and job.coordinator_address:
        _refuse_port_in_use(job.coordinator_address)
    try:
        jax.distributed.initialize(
            job.coordinator_address,
            job.num_processes,
            job.process_id,
            initialization_timeout=_SECONDS_TO_JOIN,
            heartbeat_timeout_seconds=_HEARTBEAT_SECONDS,
            shutdown_timeout_seconds=_SECONDS_TO_LEAVE,
        )
    except (ValueError, RuntimeError, OSError) as error:
        raise UserError(
            f"this process cannot join a job: {str(error).splitlines()[0]}; outside TPU slices and SLURM give all "
            "processes the same --coordinator_address and --num_processes, each its own --process_id, and start all"
        ) from None


def _refuse_port_in_use(address: str) -> None:
    # JAX would crash.
    port = int(address.rpartition(":")[2])
    try:
        socket.create_server(("", port)).close()
    except OSError as error:
        reason = os.strerror(error.errno)
        raise UserError(f"port {port} of --coordinator_address {address} cannot be used: {reason}") from None


def _end_at_once(error: BaseException) -> None:
    # What JAX raises depends on where the connection broke; Gloo's words come as a ValueError as well.
    lost = isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" not in str(error)
    if lost or (isinstance(error, ValueError) and "Gloo" in str(error)):
        advice = "run the same command on all of them again to go on from the last checkpoint"
        line = f"another process of this job is gone ({str(error).splitlines()[0]}): {advice}"
        code = process.fail(line, LOST_CODE)
    elif isinstance(error, KeyboardInterrupt):
        code = process.fail("interrupted", process.STOPPED_BY["SIGINT"])
    elif isinstance(error, OSError):
        code = process.fail(process.os_error_line(error), UserError.exit_code)
    else:
        traceback.print_exception(error)
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _gathered(values: np.ndarray) -> np.ndarray:
    """`values` [...] of every process: [processes, ...]."""
    return np.asarray(multihost_utils.process_allgather(values)).reshape(-1, *values.shape)
