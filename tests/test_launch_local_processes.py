"""local_processes.py with small stand-in commands, and once with JAX itself."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.posix

SCRIPT = Path(__file__).parent.parent / "launch" / "local_processes.py"
# Python code of a stand-in gets its process number as `index`.
PREAMBLE = "import os, signal, sys, time; index = int(sys.argv[sys.argv.index('--process_id') + 1]);\n"


def start(code: str, *options: str, arguments: tuple[str, ...] = ()) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, SCRIPT, *options, "--", sys.executable, "-c", PREAMBLE + code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen) -> tuple[int, list[str], str]:
    out, err = process.communicate(timeout=60)
    return process.returncode, sorted(out.splitlines()), err


def test_every_process_gets_its_identity_and_devices():
    code = """
flags = os.environ["XLA_FLAGS"]
print(sys.argv[1:], os.environ["JAX_PLATFORMS"], flags.split()[-1], flags.count("device_count"))
"""
    exit_code, lines, err = finish(
        start(code, "--processes", "3", "--devices", "2", arguments=("a b", "--seed", "1"))
    )
    assert (exit_code, err) == (0, "")
    (port,) = set(re.findall(r"127\.0\.0\.1:(\d+)", "\n".join(lines)))
    for index, line in enumerate(lines):
        identity = [
            "--coordinator_address",
            f"127.0.0.1:{port}",
            "--num_processes",
            "3",
            "--process_id",
            str(index),
        ]
        arguments = ["a b", "--seed", "1", "--distributed", *identity]
        assert line == f"[{index}] {arguments} cpu --xla_force_host_platform_device_count=2 1"


@pytest.mark.parametrize("ending", [3, 4])
def test_first_failure_ends_the_others_and_gives_the_exit_code(ending):
    """Also 4, another process of the job is gone, where no such process is seen."""
    code = f"""
if index == 1:
    time.sleep(0.3)
    sys.exit({ending})
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
time.sleep(60)
"""
    exit_code, _, err = finish(start(code))
    assert exit_code == ending
    assert err == f"local_processes: process 1 failed with exit code {ending}; stopping the others\n"


def test_the_cause_may_be_seen_after_those_that_left_because_of_it():
    code = """
time.sleep((1.0, 0.1)[index])
sys.exit((3, 4)[index])  # 4: another process of the job is gone
"""
    exit_code, _, err = finish(start(code))
    assert exit_code == 3
    assert err == "local_processes: process 0 failed with exit code 3; stopping the others\n"


def test_killed_process_ends_the_run_and_one_that_will_not_stop_is_killed(tmp_path):
    code = """
ready = sys.argv[1]
if index == 0:
    while not os.path.exists(ready):
        time.sleep(0.02)
    os.kill(os.getpid(), signal.SIGKILL)
signal.signal(signal.SIGTERM, lambda *_: print("not now"))
open(ready, "w").close()
while True:
    time.sleep(0.1)
"""
    exit_code, lines, err = finish(start(code, "--grace", "1", arguments=(str(tmp_path / "ready"),)))
    assert exit_code == 128 + signal.SIGKILL
    assert lines == ["[1] not now"]
    assert "process 0 was ended by SIGKILL; stopping the others" in err
    assert "still running after 1 seconds are killed" in err


def test_signals_reach_every_process():
    code = """
def stop(number, frame):
    print("saved on", number)
    sys.exit(128 + number)
signal.signal(signal.SIGINT, stop)
signal.signal(signal.SIGTERM, stop)
print("ready")
time.sleep(60)
"""
    for number in (signal.SIGINT, signal.SIGTERM):
        process = start(code)
        ready = [process.stdout.readline() for _ in range(2)]
        assert sorted(ready) == ["[0] ready\n", "[1] ready\n"]
        process.send_signal(number)
        exit_code, lines, err = finish(process)
        assert exit_code == 128 + number
        assert lines == [f"[0] saved on {number.value}", f"[1] saved on {number.value}"]
        assert err == f"local_processes: {number.name} passed on to all processes\n"


def test_bad_options_are_refused():
    for arguments, message in [
        (["--processes", "0", "--", "true"], "'0' is not a whole number above 0"),
        ([], "required: COMMAND"),
        (["--", "/no/such/command"], "cannot run /no/such/command"),
    ]:
        result = subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True)
        assert result.returncode == 2
        assert message in result.stderr and "Traceback" not in result.stderr


def test_jax_processes_add_up_over_all_devices():
    code = """
import jax
argument = lambda name: sys.argv[sys.argv.index(name) + 1]
jax.distributed.initialize(argument("--coordinator_address"), int(argument("--num_processes")), index)
sums = jax.pmap(lambda x: jax.lax.psum(x, "i"), "i")(1.0 + jax.numpy.arange(2) + 2 * index)
print("sums", sums.tolist())
"""
    exit_code, lines, err = finish(start(code, "--devices", "2"))
    assert exit_code == 0, (lines, err)
    # Devices hold 1, 2, 3 and 4.
    assert [line for line in lines if "sums" in line] == ["[0] sums [10.0, 10.0]", "[1] sums [10.0, 10.0]"]
