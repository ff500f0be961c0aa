"""The wheel: built, installed into an environment of its own, and used where there is no checkout."""

import ast
import email
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
import tiny

import siv_jax

ROOT = Path(__file__).parent.parent
SOURCES = ("siv_jax", "configs", "setup.py", "pyproject.toml", "README.md", "LICENSE")


def run(*command: object, **settings) -> subprocess.CompletedProcess:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=600, **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from a copy, so that nothing is left in the checkout and nothing of earlier builds gets in."""
    copy, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, copy / name)
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", out, copy)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The Python of an environment that holds the wheel; its dependencies are those of this one."""
    environment = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", environment)
    python = environment / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel)
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip())
    # Comes after the environment's own packages, so that the wheel hides the checkout.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def test_wheel_holds_all_it_needs_and_no_more(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = email.message_from_bytes(archive.read(next(name for name in names if name.endswith("/METADATA"))))
    files = [path for path in (ROOT / "siv_jax").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    expected = {str(path.relative_to(ROOT)) for path in files}
    expected |= {f"siv_jax/configs/{path.name}" for path in (ROOT / "configs").glob("*.py")}
    expected |= {f"siv_jax/configs/tables/{path.name}" for path in (ROOT / "configs" / "tables").iterdir()}
    info = f"siv_jax-{siv_jax.__version__}.dist-info/"
    assert {name for name in names if not name.startswith(info)} == expected
    assert metadata["Name"] == "siv_jax" and metadata["Version"] == siv_jax.__version__
    assert info + "licenses/LICENSE" in names


def test_all_that_is_imported_is_declared(wheel):
    with zipfile.ZipFile(wheel) as archive:
        metadata = next(name for name in archive.namelist() if name.endswith("/METADATA"))
        declared = email.message_from_bytes(archive.read(metadata)).get_all("Requires-Dist")
    declared = {re.match(r"[\w-]+", line)[0].lower().replace("_", "-") for line in declared}
    trees = [ast.walk(ast.parse(path.read_text())) for path in (ROOT / "siv_jax").rglob("*.py")]
    nodes = [node for tree in trees for node in tree]
    found = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    found |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
    found = {name.split(".")[0] for name in found} - sys.stdlib_module_names - {"siv_jax"}
    # IPython and google.colab are there where a notebook runs.
    packages = importlib.metadata.packages_distributions()
    for name in found - {"IPython", "google"}:
        assert not declared.isdisjoint(owner.lower().replace("_", "-") for owner in packages[name]), name


def test_version_stands_in_one_place():
    files = [*ROOT.glob("*.py"), *ROOT.glob("*.toml"), *(ROOT / "siv_jax").rglob("*.py")]
    holders = [path for path in files if f'"{siv_jax.__version__}"' in path.read_text()]
    assert holders == [ROOT / "siv_jax" / "__init__.py"]
    assert f"## {siv_jax.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_installed_wheel_works_without_the_checkout(installed, tmp_path):
    environment = tiny.environment() | {"SIV_JAX_CACHE": str(tmp_path / "cache")}
    environment.pop("PYTHONPATH", None)
    settings = {"cwd": tmp_path, "env": environment}
    place = run(installed, "-c", "import siv_jax; print(siv_jax.__file__, siv_jax.__version__)", **settings).stdout
    assert place.split()[0].startswith(str(installed.parent.parent)) and place.split()[1] == siv_jax.__version__
    told = run(installed, "-m", "siv_jax.main", "--config", "quick", "--dry_run", **settings).stdout
    assert "example:balloons" in told and '"ch_g": 8' in told
    assert [path.name for path in tmp_path.iterdir()] in ([], ["cache"])
    run(installed, "-m", "siv_jax.main", *tiny.arguments(Path("runs") / "x"), **settings)
    assert "finished" in (tmp_path / "runs" / "x" / "index.html").read_text()
    assert (tmp_path / "runs" / "x" / "samples" / "sample_00003.png").stat().st_size > 0


def test_unknown_config_of_an_installed_wheel_names_those_there(installed, tmp_path):
    command = [installed, "-m", "siv_jax.main", "--config", "quik"]
    done = subprocess.run(command, cwd=tmp_path, env=os.environ, capture_output=True, text=True, timeout=600)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert done.stderr.startswith("error: there is no config quik") and "single_image" in done.stderr
