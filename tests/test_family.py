"""A family outside the package has all that the package gives, and nothing shared knows any family."""

import ast
import functools
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import cached_weights
import numpy as np
import pytest
import tiny
import toy_runs

import siv_jax
from siv_jax import api
from siv_jax.errors import UserError
from siv_jax.models import registry
from siv_jax.workdir import layout

PACKAGE = Path(siv_jax.__file__).parent
DEADLINE = 600.0  # seconds; only there so that a run that hangs fails the test


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    assert toy_runs.train(folder)[0] is None
    return folder


def test_the_family_is_found_by_its_name():
    assert "toy" in registry.names() and "siv_gan" in registry.names()
    assert registry.get("toy").title == "Toy"
    with pytest.raises(UserError, match=r"model\.name is 'nobody'; the models there are: .*siv_gan, toy"):
        registry.get("nobody")


def test_both_stages_train(undisturbed):
    entries = toy_runs.logged(undisturbed)
    assert [entry["step"] for entry in entries] == [5, 10, 15, 20, 25, 30, 35, 40]
    # Stage 1 adds what stage 0 could not show: the error falls within each stage.
    assert entries[3]["error"] < entries[0]["error"] and entries[7]["error"] < entries[4]["error"]
    assert toy_runs.steps_in(undisturbed) == [20, 30, 40]
    shapes = sorted(leaf.shape for leaf in toy_runs.arrays(undisturbed) if leaf.ndim == 3)
    assert shapes == [(12, 16, 3), (24, 32, 3)]


@pytest.mark.posix
@pytest.mark.parametrize("stops", [[10], [20], [30], [10, 20, 30]])
def test_a_run_stopped_in_any_stage_goes_on_bit_for_bit(undisturbed, tmp_path, stops):
    folder = tmp_path / "run"
    for stop in stops:

        def watch(step, stop=stop):
            if step >= stop:
                os.kill(os.getpid(), signal.SIGTERM)

        assert toy_runs.train(folder, watch=watch)[0] == "SIGTERM"
    assert toy_runs.train(folder)[0] is None
    toy_runs.assert_same_run(folder, undisturbed)


def test_a_run_killed_again_and_again_goes_on_bit_for_bit(undisturbed, tmp_path):
    folder, chance = tmp_path / "run", random.Random(0)
    command = [sys.executable, "-m", "siv_jax.main", *toy_runs.arguments(folder, tmp_path / "toy.py")]
    for i in range(4):
        wanted = [layout.SOURCE, layout.CONFIG, layout.SCALARS, layout.GRIDS][i]
        with open(tmp_path / f"output{i}.txt", "w") as output:
            process = subprocess.Popen(command, env=tiny.environment(8), stdout=output, stderr=output)
        end = time.monotonic() + DEADLINE
        while not (folder / wanted).exists() and process.poll() is None:
            assert time.monotonic() < end
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.3))
        process.kill()
        process.wait()
    assert tiny.command("siv_jax.main", *command[3:], devices=8).returncode == 0
    toy_runs.assert_same_run(folder, undisturbed)


def test_samples_and_the_page(undisturbed):
    model = api.load(undisturbed)
    images = model.sample(3, seed=1)
    assert images.shape == (3, 24, 32, 3) and images.dtype == np.uint8
    # The toy's noise shifts the brightness of the learnt picture.
    assert len({image.mean() for image in images}) == 3
    page = (undisturbed / "index.html").read_text()
    assert "Toy" in page and "error" in page and "SIV-GAN" not in page


def test_evaluation(undisturbed, tmp_path):
    for network in ("alex", "inception"):
        cached_weights.load(network)
    record = api.evaluate(undisturbed, num=4, size=(64, 64), out=tmp_path / "evaluation")
    assert record["images"][0]["samples"] == 4 and record["mean"]["sifid_64"]["value"] > 0


def test_several_devices_share_the_noise_of_a_step(undisturbed, tmp_path):
    assert toy_runs.train(tmp_path / "run", devices=4)[0] is None
    alone, together = toy_runs.arrays(undisturbed), toy_runs.arrays(tmp_path / "run")
    for one, other in zip(alone, together, strict=True):
        if one.ndim == 3:  # the mean of four draws strays half as far from the picture as one draw
            assert 0 < np.abs(one - other).max() < 0.2


def imported(path: Path) -> set[str]:
    """Modules of the package that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {part if part in modules() else node.module for part in parts}
    return {name for name in names if name.startswith("siv_jax")}


@functools.cache
def modules() -> dict[str, Path]:
    """Name -> file of every module of the package."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def test_nothing_outside_a_family_names_it():
    own = {path.name for path in (PACKAGE / "models").iterdir() if (path / "family.py").exists()}
    assert "siv_gan" in own
    for name, path in modules().items():
        for family in own:
            if not name.startswith(f"siv_jax.models.{family}"):
                assert not any(one.startswith(f"siv_jax.models.{family}") for one in imported(path)), name


def test_no_module_imports_itself_round_a_circle():
    files = modules()
    graph = {name: imported(path) & set(files) - {name} for name, path in files.items()}
    while True:
        leaves = {name for name, needs in graph.items() if not needs}
        if not leaves:
            break
        graph = {name: needs - leaves for name, needs in graph.items() if name not in leaves}
    assert not graph, sorted(graph)


def test_one_file_knows_devices():
    for name, path in modules().items():
        if name != "siv_jax.train.devices":
            assert not re.search(r"jax\.(local_)?devices\(|pmap", path.read_text()), name
