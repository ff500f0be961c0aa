"""As on Windows, as far as POSIX can stand in for it: the package runs without what Windows lacks (windows/)."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny
import toy_runs
from PIL import Image

import siv_jax
from siv_jax import system
from siv_jax.workdir import layout

pytestmark = pytest.mark.posix

HERE, PACKAGE = Path(__file__).parent, Path(siv_jax.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))


@pytest.fixture
def windows(monkeypatch):
    """The processes that a test starts lack what Windows lacks."""
    paths = [str(HERE / "windows"), str(PACKAGE.parent), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    monkeypatch.setenv("PYTHONWARNDEFAULTENCODING", "1")


def python(*arguments: str, **settings) -> subprocess.CompletedProcess:
    """Runs Python with them; output is text."""
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=tiny.environment(), capture_output=True, text=True, timeout=600, **settings)


def test_what_windows_lacks_is_gone(windows, tmp_path):
    """Else the tests below would prove nothing."""
    code = (
        "__package__ = 'siv_jax.web'\n"
        "import os, signal, subprocess\n"
        "def said(act):\n"
        "    try: act()\n"
        "    except Exception as error: return type(error).__name__\n"
        "file = open('held', 'w', encoding='utf-8')\n"
        "open('other', 'w', encoding='utf-8').close()\n"
        "print(said(lambda: __import__('fcntl', globals())), said(lambda: __import__('resource', globals())),\n"
        "      said(lambda: os.getpgid(0)), said(lambda: signal.SIGHUP), said(lambda: os.replace('other', 'held')),\n"
        "      said(lambda: subprocess.Popen(['true'], pass_fds=[1])))\n"
        "child = subprocess.Popen(['sleep', '600']); child.terminate(); print(child.wait())\n"
    )
    done = python("-c", code, cwd=tmp_path)
    expected = "ModuleNotFoundError ModuleNotFoundError AttributeError AttributeError PermissionError ValueError"
    assert done.stdout.split("\n")[:2] == [expected, "-9"], done.stderr


def test_a_training_and_its_samples(windows, tmp_path, monkeypatch):
    arguments = toy_runs.arguments(tmp_path / "run", tmp_path / "toy.py")
    done = tiny.command("siv_jax.main", *arguments)
    assert done.returncode == 0, done.stderr
    for module, folder in (("siv_jax.sample", tmp_path / "drawn"), ("siv_jax.render", tmp_path / "rendered")):
        done = tiny.command(module, "--workdir", str(tmp_path / "run"), "--num", "2", "--out", str(folder))
        assert done.returncode == 0 and len(list(folder.glob("sample_*.png"))) == 2, done.stderr
    # The run is the one that POSIX has.
    monkeypatch.undo()
    assert toy_runs.train(tmp_path / "posix")[0] is None
    toy_runs.assert_same_run(tmp_path / "run", tmp_path / "posix")


def test_the_page_starts_stops_and_goes_on_with_a_training(windows, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
    Image.fromarray(pixels).resize((64, 48), Image.Resampling.BICUBIC).save(tmp_path / "photo.png")
    values: dict = {}
    for key, value in (tiny.OVERRIDES | {"num_steps": 10**7, "sample_every": 10**6, "checkpoint_every": 201}).items():
        group, dot, name = key.partition(".")
        (values.setdefault(group, {}) if dot else values)[name or group] = value
    (tmp_path / "tiny.json").write_text(json.dumps(values))
    paths = [str(tmp_path / name) for name in ("runs", "photo.png", "tiny.json")]
    done = python(str(HERE / "windows_trainer.py"), *paths)
    assert done.returncode == 0, done.stderr
    saw = json.loads(done.stdout)
    assert saw["runs"] == ["photo"] and saw["refusal"].startswith("photo is in training: stop it first")
    assert saw["states"] == ["training", "stopped"] and saw["pids"][0] != saw["pids"][1]
    assert 0 < saw["steps"][0] < saw["steps"][1]
    # Each stop let the process save: killed ones would have said nothing.
    assert sum("SIGBREAK" in line for line in saw["said"]) == 2, saw["said"]


def test_a_cells_process_saves_when_the_one_that_started_it_is_gone(windows):
    code = (
        "import threading, time\n"
        "from siv_jax.experiments import worker\n"
        "from siv_jax.train.stop_signal import StopSignal\n"
        "with StopSignal().listening() as stop:\n"
        "    threading.Thread(target=worker._stop_when_alone, daemon=True).start()\n"
        "    while stop.name is None: time.sleep(0.01)\n"
        "    print(stop.name)\n"
    )
    done = python("-c", code, input="")
    assert (done.returncode, done.stdout) == (0, "SIGTERM\n"), done.stderr


def test_a_file_that_another_process_reads_is_replaced_when_it_is_done(tmp_path, monkeypatch):
    """And what may not be replaced at all is said at once."""
    usual, tries = os.replace, []

    def busy(source, target):
        tries.append(target)
        if len(tries) < 3:
            error = PermissionError(13, "in use")
            error.winerror = 32
            raise error
        usual(source, target)

    monkeypatch.setattr(system.os, "replace", busy)
    layout.write_text(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "new" and len(tries) == 3

    def forbidden(source, target):
        tries.append(target)
        raise PermissionError(13, "forbidden")

    monkeypatch.setattr(system.os, "replace", forbidden)
    with pytest.raises(PermissionError):
        layout.write_text(tmp_path / "a", "newer")
    assert (tmp_path / "a").read_text() == "new" and len(tries) == 4 and os.listdir(tmp_path) == ["a"]


POSIX = {
    *("fcntl", "resource", "pwd", "grp", "termios", "pty"),
    *("fork", "kill", "killpg", "getpgid", "setpgid", "setsid", "nice", "sysconf", "getuid", "geteuid", "uname"),
    *("mkfifo", "chown", "statvfs", "sched_getaffinity", "symlink", "symlink_to", "terminate", "send_signal"),
    *("SIGHUP", "SIGKILL", "SIGALRM", "SIGQUIT", "SIGUSR1", "SIGUSR2", "CTRL_BREAK_EVENT", "O_NONBLOCK"),
    *("preexec_fn", "pass_fds", "start_new_session", "creationflags"),
}


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def names_in(path: Path) -> set[str]:
    """Attributes, modules and keyword arguments that a source file mentions."""
    found: set[str] = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.name for alias in node.names} | {getattr(node, "module", None) or ""}
        elif isinstance(node, ast.keyword):
            found.add(node.arg or "")
    return found


def test_one_file_alone_asks_for_what_one_system_lacks():
    files = {path.relative_to(PACKAGE).as_posix(): names_in(path) & POSIX for path in SOURCES}
    assert [name for name, found in files.items() if found] == ["system.py"]


def test_nothing_else_asks_which_system_it_runs_on():
    asked = {("sys", "platform"), ("os", "name")}
    for path in SOURCES:
        nodes = (node for node in ast.walk(parsed(path)) if isinstance(node, ast.Attribute))
        found = {(node.value.id, node.attr) for node in nodes if isinstance(node.value, ast.Name)}
        assert not found & asked, path


def test_text_files_have_an_encoding():
    """That of Windows is not UTF-8."""
    for path in SOURCES:
        without = [node.lineno for node in ast.walk(parsed(path)) if isinstance(node, ast.Call) and is_vague(node)]
        assert not without, path


OF_TESTS = POSIX - {"symlink_to", "terminate", "kill"} | {"os.kill"}


def needs(node: ast.AST, helpers: set[str]) -> bool:
    """Whether it mentions what Windows lacks, or one of the helpers that do."""
    return any(
        (isinstance(one, ast.Attribute) and {one.attr, ast.unparse(one)} & OF_TESTS)
        or (isinstance(one, ast.Name | ast.arg) and getattr(one, "id", getattr(one, "arg", "")) in helpers)
        or (isinstance(one, ast.Import | ast.ImportFrom) and {alias.name for alias in one.names} & (OF_TESTS | helpers))
        or (isinstance(one, ast.keyword) and one.arg in OF_TESTS)
        for one in ast.walk(node)
    )


def test_tests_that_need_posix_say_so():
    """By the mark that passes them over on Windows, where the rest of their files must be imported."""
    assert needs(parsed(HERE / "chromium.py"), set())
    for path in sorted(HERE.glob("test_*.py")):
        body = parsed(path).body
        helpers = {node.name for node in body if hasattr(node, "name") and needs(node, set())} | {"Browser"}
        for node in body:
            at_import = getattr(node, "decorator_list", [] if hasattr(node, "name") else [node])
            assert not any(needs(one, set()) for one in at_import), (path.name, node.lineno)
        if "pytestmark = pytest.mark.posix" in path.read_text(encoding="utf-8"):
            continue
        tests = [node for node in body if getattr(node, "name", "").startswith("test_") and needs(node, helpers)]
        unmarked = [one.name for one in tests if "pytest.mark.posix" not in map(ast.unparse, one.decorator_list)]
        assert not unmarked, path.name


def is_vague(call: ast.Call) -> bool:
    """Whether it opens a file as text and leaves the encoding to the system."""
    if any(keyword.arg == "encoding" for keyword in call.keywords):
        return False
    if isinstance(call.func, ast.Attribute):
        wanted = {"read_text": 1, "write_text": 2}.get(call.func.attr, 0)
        return len(call.args) < wanted
    opens = isinstance(call.func, ast.Name) and call.func.id == "open"
    return opens and (len(call.args) < 2 or "b" not in ast.unparse(call.args[1]))
