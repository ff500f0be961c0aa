"""A job of several processes, on one machine or on many: joining it, deciding together, and leaving it.

All of them run the same command; the first one alone locks, reads and writes the workdir.
"""

import contextlib
import os
import socket
import subprocess
import sys
import traceback
from collections.abc import Iterator

import jax
import numpy as np

from siv_jax.cli import process as command_line
from siv_jax.cli.training_flags import Job
from siv_jax.errors import DivergedError, UserError

# Exit code of a process whose job fell apart around it.
LOST_CODE = 4
# Others may come up late: a slice of machines takes its time.
_SECONDS_TO_JOIN = 300
# After so long a lost machine is noticed at the latest.
_HEARTBEAT_SECONDS = 30
# The first process draws the samples while the others wait to leave.
_SECONDS_TO_LEAVE = 3600

_GO_ON = "run the same command on all of them again to go on from the last checkpoint"
_ENDED = f"error: this process was killed, or ended because another one of its job is gone: {_GO_ON}"
_REPEATS_ITS_LAST_LINE = "import sys\nline = ''\nfor line in sys.stdin: pass\nsys.stderr.write(line.strip() and line)"


@contextlib.contextmanager
def joined(job: Job | None) -> Iterator[None]:
    """Makes this process one of a job's inside the block, which must be its first use of JAX; alone for None.

    An error that all processes raise alike, UserError and DivergedError, passes through. Any other ends this
    process at once, with its line: the rest know nothing of it, and it must not wait for them.

    Raises:
      UserError: the job cannot be joined.
    """
    if job is None:
        yield
        return
    words = _LastWords()
    _initialize(job, words)
    words.become(_ENDED)
    try:
        yield
    except (UserError, DivergedError):
        words.become("")
        raise
    except BaseException as error:
        _end_at_once(error, words)
    jax.distributed.shutdown()
    words.become("")


def is_first() -> bool:
    """Whether this process writes what all of them share."""
    return jax.process_index() == 0


def say(line: str) -> None:
    """Prints a line that would be the same in every process, once."""
    if is_first():
        print(line)


def agree(count: int, stop: str | None) -> tuple[int, str | None]:
    """The same decision in every process: the smallest count, and the signal that any of them got, by name."""
    if jax.process_count() == 1:
        return count, stop
    names = (None, "SIGINT", "SIGTERM")
    wishes = _gathered(np.array([count, -names.index(stop)], np.int32))
    smallest, signal = wishes.min(axis=0)
    return int(smallest), names[-signal]


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Runs a block that may fail in some processes only; then it fails in all.

    Raises:
      UserError: the block's own here, or word that it failed elsewhere.
    """
    failure = None
    try:
        yield
    except UserError as error:
        failure = error
    except BrokenPipeError as error:
        failure = error
    except OSError as error:
        failure = UserError(command_line.os_error_line(error))
    failed = failure is not None
    if jax.process_count() > 1:
        failed = bool(_gathered(np.array([failed])).any())
    if failure is not None:
        raise failure
    if failed:
        raise UserError("another process of this job cannot begin; what it printed says why")


def require_same(digest: str, what: str) -> None:
    """Refuses to go on where processes hold different things.

    Args:
      digest: hexadecimal, of as many digits everywhere.
      what: its name in the message.

    Raises:
      UserError: in every process, where one differs.
    """
    if jax.process_count() == 1:
        return
    digests = _gathered(np.frombuffer(bytes.fromhex(digest), np.uint8))
    if (digests != digests[0]).any():
        raise UserError(f"the processes of this job were given different {what}: all need the same command and input")


def from_first(tree):
    """The first process's numpy arrays in all of them, bit for bit; every process brings the same shapes."""
    if jax.process_count() == 1:
        return tree
    from jax.experimental import multihost_utils

    leaves, treedef = jax.tree.flatten(tree)
    # As bytes: JAX sends by adding up, which would lose the sign of zeros.
    packed = np.concatenate([np.ascontiguousarray(leaf).reshape(-1).view(np.uint8) for leaf in leaves])
    sent = np.asarray(multihost_utils.broadcast_one_to_all(packed))
    ends = np.cumsum([leaf.nbytes for leaf in leaves])
    pieces = np.split(sent, ends[:-1])
    return treedef.unflatten(
        [piece.copy().view(leaf.dtype).reshape(leaf.shape) for piece, leaf in zip(pieces, leaves, strict=True)]
    )


class _LastWords:
    """A line on the standard error stream in case this process ends without a chance to say it.

    JAX's runtime aborts a process whose job has fallen apart, and the system kills without asking; so a child,
    which does nothing else, waits for the end.
    """

    def __init__(self):
        command = [sys.executable, "-S", "-c", _REPEATS_ITS_LAST_LINE]
        # In a session of its own: signals to this process's group are not for it.
        self._child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, start_new_session=True
        )

    def become(self, line: str) -> None:
        """Replaces the line; an empty one says nothing."""
        self._child.stdin.write(line + "\n")
        self._child.stdin.flush()


def _initialize(job: Job, words: _LastWords) -> None:
    if job.process_id == 0 and job.coordinator_address:
        _refuse_port_in_use(job.coordinator_address)
    where = f" at {job.coordinator_address}" if job.coordinator_address else ""
    advice = "give all processes the same --coordinator_address and --num_processes, each its own --process_id"
    words.become(
        f"error: this process could not join its job{where} within {_SECONDS_TO_JOIN} seconds: {advice}, and start all"
    )
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
        words.become("")
        reason = str(error).splitlines()[0]
        raise UserError(f"this process cannot join a job: {reason}; outside TPU slices and SLURM {advice}") from None


def _refuse_port_in_use(address: str) -> None:
    # JAX would crash.
    port = int(address.rpartition(":")[2])
    try:
        socket.create_server(("", port)).close()
    except OSError as error:
        reason = os.strerror(error.errno)
        raise UserError(f"port {port} of --coordinator_address {address} cannot be used: {reason}") from None


def _end_at_once(error: BaseException, words: _LastWords) -> None:
    if isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" not in str(error):
        words.become(f"error: another process of this job is gone ({str(error).splitlines()[0]}): {_GO_ON}")
        code = LOST_CODE
    elif isinstance(error, KeyboardInterrupt):
        words.become("error: interrupted")
        code = command_line.STOPPED_BY["SIGINT"]
    elif isinstance(error, OSError):
        words.become(f"error: {command_line.os_error_line(error)}")
        code = UserError.exit_code
    else:
        traceback.print_exception(error)
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _gathered(values: np.ndarray) -> np.ndarray:
    """`values` [...] of every process: [processes, ...]."""
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.process_allgather(values)).reshape(-1, *values.shape)
