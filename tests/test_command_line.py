"""The edge of every command: exit codes, one line for each error, and what is answered before JAX loads."""

import argparse
import errno
import importlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import jax
import pytest
import tiny

from siv_jax import evaluate, import_reference, sample, tables, weights
from siv_jax.cli import command_text, commands, process, training_flags
from siv_jax.errors import DivergedError, UserError
from siv_jax.train.stop_signal import StopSignal


def leave(monkeypatch, main) -> int:
    monkeypatch.setattr(sys, "argv", ["command", "a", "b"])
    with pytest.raises(SystemExit) as leaving:
        process.run(main)
    return leaving.value.code


@pytest.mark.parametrize(
    "error, code, line",
    [
        (UserError("no such\n  picture: take another"), 2, "no such picture: take another"),
        (DivergedError("the loss is gone"), 3, "the loss is gone"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (OSError(errno.ENOSPC, "No space left on device", "a/b"), 2, "no space left on the disk (a/b): free some"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), 2, "no space left on the disk: free some"),
        (PermissionError(errno.EACCES, "Permission denied", "x"), 2, "Permission denied (x): choose a place"),
        (OSError(errno.EROFS, "Read-only file system", "x"), 2, "Read-only file system (x): choose a place"),
        (OSError(errno.EIO, "Input/output error", "x"), 2, "Input/output error (x)"),
        (OSError("odd"), 2, "odd"),
        (MemoryError(), 2, "there is not enough memory: end other programs"),
        (MemoryError("Unable to allocate 7.45 GiB for"), 2, "there is not enough memory for 7.45 GiB more: end"),
        (
            jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 31063759840 bytes."),
            2,
            "there is not enough memory for 31063759840 bytes more: end other programs",
        ),
    ],
)
def test_errors_become_one_line_and_a_code(monkeypatch, capsys, error, code, line):
    def main(argv):
        raise error

    assert leave(monkeypatch, main) == code
    out, err = capsys.readouterr()
    assert err.startswith(f"error: {line}") and err.count("\n") == 1 and not out


def test_the_line_stands_behind_a_progress_bar(monkeypatch, capsys):
    def bar():
        try:
            yield from range(3)
        finally:
            print("2 of 3", file=sys.stderr)

    def main(argv):
        for number in bar():
            if number == 2:
                raise OSError(errno.ENOSPC, "No space left on device")

    assert leave(monkeypatch, main) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: no space left")


def test_a_command_gets_its_arguments_and_its_code_is_the_processs(monkeypatch):
    seen = []
    assert leave(monkeypatch, seen.append) == 0 and seen == [["a", "b"]]
    assert leave(monkeypatch, lambda argv: 143) == 143


def test_an_error_of_the_program_itself_is_not_hidden(monkeypatch):
    def main(argv):
        raise ZeroDivisionError

    monkeypatch.setattr(sys, "argv", ["command"])
    with pytest.raises(ZeroDivisionError):
        process.run(main)


def test_a_reader_that_has_gone_is_no_error():
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "siv_jax.main", "--help"], stdout=writing, stderr=subprocess.PIPE, text=True
    )
    os.close(writing)
    assert done.returncode == 0 and done.stderr == ""


@pytest.mark.parametrize(
    ("command", "arguments", "complaint"),
    [
        ("main", ["--config", "single_image", "--config.num_stpes=3"], "num_stpes"),
        ("sample", ["--workdir", "missing"], "missing does not exist"),
        ("sample", ["--workdir", ".", "--nmu", "3"], "--nmu"),
        ("app", ["--workdir", "runs"], "--workdir"),
    ],
)
def test_what_cannot_be_meant_is_answered_before_jax_loads(command, arguments, complaint):
    code = (
        f"import sys\nfrom siv_jax import {command}\nfrom siv_jax.errors import UserError\n"
        f"try: {command}.main({arguments})\n"
        "except UserError as error: print(error)\n"
        "print(sorted({'jax', 'flax', 'orbax', 'av', 'tensorflow_datasets'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    said, loaded = done.stdout.splitlines()
    assert complaint in said and loaded == "[]"


@pytest.mark.posix
def test_a_stop_while_starting_leaves_nothing_half_done(tmp_path):
    """Long before the first step the run can be stopped, and begun again."""
    process = subprocess.Popen(
        [sys.executable, "-m", "siv_jax.main", *tiny.arguments(tmp_path / "run"), "--devices", "1"],
        env=tiny.environment(8),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    line = process.stdout.readline()
    assert line.startswith("input "), "what is read is said at once, even into a pipe"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=900)
    assert process.returncode == 130 and "Traceback" not in err, err


@pytest.mark.parametrize(("name", "code"), [("SIGHUP", 129), ("SIGINT", 130), ("SIGTERM", 143), ("SIGBREAK", 149)])
def test_a_run_that_a_signal_stopped_has_the_signals_exit_code(monkeypatch, tmp_path, name, code):
    from siv_jax import api, main

    monkeypatch.setattr(api, "run_training", lambda *_: name)
    assert main.main(tiny.arguments(tmp_path / "run")) == code


@pytest.mark.posix
def test_the_first_signal_is_noted_and_an_ignored_one_stays_ignored():
    """nohup has SIGHUP ignored, so that a run outlives its terminal."""
    usual = signal.getsignal(signal.SIGHUP)
    with StopSignal().listening() as stop:
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.name == "SIGTERM"
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGHUP) is usual
    try:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        with StopSignal().listening() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
        assert stop.name is None
    finally:
        signal.signal(signal.SIGHUP, usual)


@pytest.mark.parametrize("text, value", [("1", 1), ("10", 10), (" 7 ", 7)])
def test_whole_numbers(text, value):
    assert process.whole_number(1, 10)(text) == value


@pytest.mark.parametrize("text", ["0", "11", "-1", "1.5", "", "many", "1e1"])
def test_what_is_not_a_whole_number_in_range(text):
    with pytest.raises(argparse.ArgumentTypeError, match="from 1 to 10"):
        process.whole_number(1, 10)(text)


def test_a_parsers_complaints_are_user_errors():
    parser = process.Parser(prog="x")
    parser.add_argument("--workdir", required=True)
    for argv in ([], ["--work", "a"], ["--workdir", "a", "b"]):
        with pytest.raises(UserError, match="--help"):
            parser.parse_args(argv)


def test_flags_override_the_config_file_wherever_they_stand(tmp_path):
    for argv in (
        ["--config", "quick", "--config.num_steps=7", "--config.ema.warmup=false", "--workdir", "w"],
        ["--workdir=w", "--config=configs/quick.py", "--config.ema.warmup=false", "--config.num_steps", "7"],
    ):
        given = training_flags.parse(argv)
        assert (given.config.num_steps, given.config.ema.warmup, given.workdir) == (7, False, Path("w"))
        assert given.config.data.path.startswith("example:") and given.devices == 0 and not given.dry_run
    assert training_flags.parse(["--config", "quick", "--dry_run", "--devices=3"]).devices == 3
    over = training_flags.parse(["--config", "quick", "--config.data.background=(1, 2, 3)"]).config
    assert over.data.background == (1, 2, 3)


def test_a_config_of_ones_own(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(
        "from siv_jax import config as c\n"
        "def get_config(text):\n  config = c.default()\n  config.data.path = text\n  return config\n"
    )
    assert training_flags.parse(["--config", f"{path}:photo.png"]).config.data.path == "photo.png"


def test_a_dry_run_says_what_it_would_do_and_touches_nothing(capsys, tmp_path, monkeypatch):
    from siv_jax import main

    monkeypatch.chdir(tmp_path)
    assert main.main([*tiny.arguments(tmp_path / "run"), "--devices=1", "--dry_run"]) == 0
    out = capsys.readouterr().out
    assert "64x48" in out and "4,499 parameters" in out
    settings, end = json.JSONDecoder().raw_decode(out)
    assert settings["batch_size"] == 4
    assert out[end:].rstrip().splitlines()[-1].startswith("time      about ")
    assert not list(tmp_path.iterdir())


def test_settings_may_follow_their_key_truth_values_too():
    given = training_flags.parse(["--config", "quick", "--config.loss.low_level", "False", "--config.model.ch_g", "4"])
    assert given.config.loss.low_level is False and given.config.model.ch_g == 4
    given = training_flags.parse(["--config", "quick", "--config.loss.low_level=True", "--dry_run"])
    assert given.config.loss.low_level and given.dry_run


@pytest.mark.parametrize("name", ["ablations:no_fa", "ablations.py:no_fa", "configs/ablations.py:no_fa"])
def test_a_config_goes_by_several_names(name):
    assert training_flags.parse(["--config", name]).config.augment.feature == 0.0


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (["--foo", "3"], "unknown flag --foo; see --help"),
        (["--config.model.chg", "8"], 'unknown config key: chg; did you mean "ch_g" instead of "chg"?'),
        (["--config.loss.low_level", "maybe"], "Non-boolean argument to boolean flag maybe; see --help"),
    ],
)
def test_a_misspelt_flag_is_named_in_plain_words(flags, line):
    with pytest.raises(UserError) as refused:
        training_flags.parse(["--config", "quick", *flags])
    assert str(refused.value).endswith(line)


def test_a_picture_as_config_is_told_apart(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff\0")
    with pytest.raises(UserError, match=r"is no config file; to train on it: python -m siv_jax\.main /.*photo\.jpg"):
        training_flags.parse(["--config", str(tmp_path / "photo.jpg")])
    with pytest.raises(UserError, match="there is no ablation foo"):
        training_flags.parse(["--config", "ablations:foo"])


def test_a_picture_alone_is_enough():
    given = training_flags.parse(["my photo.jpg", "--config.num_steps", "7", "--dry_run"])
    quick = training_flags.parse(["--config", "quick"])
    assert given.config.data.path == "my photo.jpg" and given.config.num_steps == 7 and given.dry_run
    assert given.config.optim == quick.config.optim and "--config quick, chosen" in given.chosen and not quick.chosen
    named = training_flags.parse(["--workdir", "w", "photo.jpg", "--config", "single_image"])
    assert named.config.data.path == "photo.jpg" and named.config.num_steps == 100_000 and not named.chosen
    long = training_flags.parse(["--config.data.path", "my photo.jpg", "--config.num_steps=7", "--dry_run"])
    assert (long.config, long.chosen) == (given.config, given.chosen)
    for argv, said in [
        ([], "nothing to train on"),
        (["--config.num_steps=7"], "nothing to train on"),
        (["a.jpg", "b.jpg"], "unexpected argument 'b.jpg'"),
        (["a.jpg", "-x"], "unexpected argument '-x'"),
        (["--workdir"], "--workdir needs a value"),
        (["a.jpg", "--distributed"], "several processes need --config"),
    ]:
        with pytest.raises(UserError, match=said):
            training_flags.parse(argv)


@pytest.mark.parametrize(
    "arguments",
    [
        ["main", *tiny.arguments(Path("run"))],
        ["main", "photo.jpg", "--dry_run"],
        ["export", "--workdir", ".", "--out", "model.safetensors"],
        ["import_reference", "--weights", "model.safetensors", "--workdir", "new"],
    ],
)
def test_devices_that_are_not_there_are_one_line(arguments):
    environment = tiny.environment() | {"JAX_PLATFORMS": "nonsense"}
    command = [sys.executable, "-m", f"siv_jax.{arguments[0]}", *arguments[1:]]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("error: JAX finds no device for JAX_PLATFORMS=nonsense")


def test_a_cache_that_cannot_be_written_to_is_told_once_and_a_person_without_home_has_one(
    monkeypatch, capsys, tmp_path
):
    (tmp_path / "file").touch()
    assert process._writable(tmp_path / "file" / "compiled") is None
    assert capsys.readouterr().err.count("cannot be written to: programs compile anew") == 1
    assert process._writable(tmp_path / "new" / "compiled") == tmp_path / "new" / "compiled"
    monkeypatch.delenv("SIV_JAX_CACHE", raising=False)
    monkeypatch.setattr(process.platformdirs, "user_cache_dir", lambda name: f"~/.cache/{name}")
    assert process.cache_folder().is_absolute()

    def refuse(name):
        raise RuntimeError("could not determine the home directory")

    monkeypatch.setattr(process.platformdirs, "user_cache_dir", refuse)
    assert process.cache_folder().is_absolute()
    monkeypatch.setenv("SIV_JAX_CACHE", str(tmp_path))
    assert process.cache_folder() == tmp_path


def test_a_damaged_program_is_compiled_and_kept_anew(tmp_path):
    code = "import jax; from siv_jax.cli import process; process.prepare_jax(); print(jax.jit(lambda x: x + 1)(1.0))"

    def start() -> dict[str, bytes]:
        variables = tiny.environment() | {"JAX_COMPILATION_CACHE_DIR": str(tmp_path)}
        done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, timeout=600)
        assert (done.stdout, done.stderr, done.returncode) == ("2.0\n", "", 0)
        return {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    whole = start()
    for path in tmp_path.iterdir():
        path.write_bytes(whole[path.name][:100])
    assert start().keys() == whole.keys() != {}
    assert all(path.stat().st_size > 100 for path in tmp_path.iterdir())


def test_a_place_for_programs_that_cannot_be_made_is_one_note(tmp_path):
    (tmp_path / "file").touch()
    code = "import jax; from siv_jax.cli import process; process.prepare_jax(); print(jax.jit(lambda x: x + 1)(1.0))"
    variables = tiny.environment() | {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "file" / "programs")}
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, timeout=600)
    assert (done.stdout, done.returncode) == ("2.0\n", 0)
    assert re.fullmatch(r"note: .*programs cannot be written to: .*; set JAX_COMPILATION_CACHE_DIR\n", done.stderr)


def test_programs_that_cannot_be_kept_are_told_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(warnings, "showwarning", lambda *_: print("another"))
    process._forget_damaged_programs(str(tmp_path))
    for name in ("jit_step", "jit_draw"):
        (tmp_path / f"{name}-0123-cache").write_bytes(b"half")
        text = f"Error writing persistent compilation cache entry for '{name}': OSError: [Errno 28] No space left"
        warnings.showwarning(UserWarning(text), UserWarning, "compiler.py", 1)
    warnings.showwarning(UserWarning("something else"), UserWarning, "compiler.py", 1)
    out, err = capsys.readouterr()
    assert err.count(f"note: {tmp_path} cannot be written to") == 1 == err.count("\n") and out == "another\n"
    assert not list(tmp_path.iterdir())


def test_a_path_may_begin_with_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "run").mkdir()
    for given, found in [("~/run", tmp_path / "run"), ("~nobody_here/run", Path("~nobody_here/run"))]:
        assert training_flags.parse(["--config", "quick", "--workdir", given]).workdir == found
    given = sample._parse(["--workdir=~/run", "--out=~/out", "--latents", "~/a.npy"])
    assert (given.workdir, given.out, given.latents) == (tmp_path / "run", tmp_path / "out", tmp_path / "a.npy")
    assert evaluate._parse(["--workdir=~/run"]).workdir == tmp_path / "run"
    assert import_reference._file("generator=~/a.pth") == ("generator", tmp_path / "a.pth")
    assert tables._folder("theirs=~/run") == ("theirs", tmp_path / "run")
    assert weights._parse(["fetch", "--cache", "~/run"]).cache == tmp_path / "run", "of a subcommand, too"
    with pytest.raises(UserError, match=f"{tmp_path}/missing does not exist"):
        sample._parse(["--workdir=~/missing"])


def test_the_package_itself_lists_its_commands(capsys):
    done = subprocess.run([sys.executable, "-m", "siv_jax"], capture_output=True, text=True)
    listed = dict(re.findall(r"siv-jax (\S+) .*\(python -m siv_jax\.(\w+)\)", done.stdout))
    assert done.returncode == 2 and listed == {name: module for name, (module, _) in commands.COMMANDS.items()}
    assert commands.main(["--help"]) == 0 and capsys.readouterr().out == done.stdout
    for name, module in listed.items():
        assert ".run(main)" in Path(importlib.import_module(f"siv_jax.{module}").__file__).read_text(), name
        try:
            code = commands.main([name, "--help"])
        except SystemExit as leaving:
            code = leaving.code
        assert code == 0 and f"siv_jax.{module} " in capsys.readouterr().out
    with pytest.raises(UserError, match="there is no command 'tarin'; there are train, app"):
        commands.main(["tarin", "photo.jpg"])


def test_the_console_command_is_an_entry_point_and_a_run_is_told_by_it(monkeypatch):
    setup = (Path(__file__).parent.parent / "setup.py").read_text()
    module, _, function = re.search(r"siv-jax = ([\w.]+)(:)(\w+)", setup).groups()
    assert getattr(importlib.import_module(module), function) is commands.run
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/siv-jax", "train", "my photo.jpg"])
    assert command_text.training(Path("runs")) == "siv-jax train 'my photo.jpg'"
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/siv-jax", "evaluate", "--workdir", "runs/x"])
    goes_on = ["python", "-m", "siv_jax.main", "--config", str(Path("runs/x/config.json")), "--workdir", "runs/x"]
    assert shlex.split(command_text.training(Path("runs/x"))) == goes_on
