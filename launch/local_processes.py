"""Runs one command as N processes on this machine, as N hosts would run it, over JAX's CPU collectives.

    python launch/local_processes.py --processes 2 --devices 2 -- \\
        python -m siv_jax.main --config quick --config.batch_size 8 --config.data.path photo.jpg --workdir runs/photo

Needs: nothing but the packages of the command; no accelerator is touched.

Expect: each process gets `--distributed --coordinator_address 127.0.0.1:PORT --num_processes N
--process_id I` after its own arguments and sees `--devices` CPU devices. Every line they print comes out
as `[I] line`. SIGINT and SIGTERM go on to all of them. When one fails, the others get SIGTERM, and
SIGKILL after `--grace` seconds; the exit code is that of the first failure (128 + n for signal n). Exit
code 4, another process of the job is gone, is waited with for two seconds: that process may be seen later.
"""

import argparse
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

POLL_SECONDS = 0.02
PRINT_LOCK = threading.Lock()
# Exit code of siv_jax.main where another process of its job is gone.
LEFT_BEHIND = 4
# The process that is gone may be seen to end so much later than those that left because of it.
LATE_SECONDS = 2.0


def main() -> int:
    """Starts the processes and waits for them; returns the exit code."""
    options = _parse_arguments()
    # Handlers only note the signal, so that none is lost while processes are still being started.
    received: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: received.append(number))
    processes = []
    port = _free_port()
    for index in range(options.processes):
        identity = f"--coordinator_address 127.0.0.1:{port} --num_processes {options.processes} --process_id {index}"
        command = [*options.command, "--distributed", *identity.split()]
        try:
            processes.append(_start(command, options.devices))
        except OSError as error:
            print(f"error: cannot run {options.command[0]}: {error.strerror}", file=sys.stderr)
            return 2
    printers = [
        threading.Thread(target=_print_lines, args=(index, process), daemon=True)
        for index, process in enumerate(processes)
    ]
    for printer in printers:
        printer.start()
    code = _supervise(processes, received, options.grace)
    for printer in printers:
        # A grandchild may hold the pipe open after its parent ended: do not wait for it for ever.
        printer.join(timeout=2)
    return code


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(usage="%(prog)s [options] -- COMMAND [ARGUMENT ...]")
    parser.add_argument("--processes", type=_positive, default=2, help="how many processes (default: 2)")
    parser.add_argument("--devices", type=_positive, default=1, help="CPU devices of each process (default: 1)")
    parser.add_argument(
        "--grace",
        type=_positive,
        default=60,
        help="seconds from SIGTERM to SIGKILL after a failure (default: 60)",
    )
    parser.add_argument("command", nargs="+", metavar="COMMAND")
    return parser.parse_args()


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _start(command: list[str], devices: int) -> subprocess.Popen:
    inherited_flags = re.sub(r"--xla_force_host_platform_device_count=\S*", "", os.environ.get("XLA_FLAGS", ""))
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"{inherited_flags} --xla_force_host_platform_device_count={devices}".strip(),
        "PYTHONUNBUFFERED": "1",
    }
    environment.pop("JAX_NUM_CPU_DEVICES", None)  # it would override the flag
    # Own session: Ctrl-C in a terminal reaches only this program, which passes it on once.
    return subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )


def _print_lines(index: int, process: subprocess.Popen) -> None:
    for line in process.stdout:
        with PRINT_LOCK:
            print(f"[{index}] {line.rstrip()}", flush=True)


def _supervise(processes: list[subprocess.Popen], received: list[int], grace: float) -> int:
    first_failure = 0
    first_seen = None
    cause = None
    deadline = None
    signalled = False
    while True:
        codes = [process.poll() for process in processes]
        if any(codes):
            first_seen = first_seen or time.monotonic()
            late = time.monotonic() > first_seen + LATE_SECONDS or None not in codes
            cause = _cause(codes, late)
        if cause is not None and not first_failure:
            first_failure = _exit_code(codes[cause])
            deadline = time.monotonic() + grace
            if not signalled:
                _say(f"process {cause} {_ending(codes[cause])}; stopping the others")
                _send(processes, signal.SIGTERM)
        if None not in codes:
            return first_failure
        while received:
            number = received.pop(0)
            _say(f"{signal.Signals(number).name} passed on to all processes")
            _send(processes, number)
            signalled = True
        if deadline is not None and time.monotonic() > deadline:
            _say(f"processes still running after {grace} seconds are killed")
            _send(processes, signal.SIGKILL)
            deadline = None
        time.sleep(POLL_SECONDS)


def _cause(codes: list[int | None], late: bool) -> int | None:
    """The first process that failed by itself; where all left because of another one, the first of them once `late`."""
    failed = [index for index, code in enumerate(codes) if code]
    return next((index for index in failed if codes[index] != LEFT_BEHIND), failed[0] if late else None)


def _exit_code(code: int) -> int:
    return 128 - code if code < 0 else code


def _ending(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"failed with exit code {code}"


def _send(processes: list[subprocess.Popen], number: int) -> None:
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, number)


def _say(text: str) -> None:
    with PRINT_LOCK:
        print(f"local_processes: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
