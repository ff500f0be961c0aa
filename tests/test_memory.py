"""The memory estimate and the refusal of runs that would not fit."""

import re
import types
from pathlib import Path

import psutil
import pytest

from siv_jax import config as config_lib
from siv_jax.cli import config_file
from siv_jax.errors import UserError
from siv_jax.models import registry
from siv_jax.models.siv_gan.config import Config
from siv_jax.train import devices, memory, system_memory
from siv_jax.train.task import Task

FAMILY = registry.get("siv_gan")


def task(frames: int = 1, height: int = 480, width: int = 854, **changes) -> Task:
    """Training on so many frames; `changes` of the settings are given with __ for the dot."""
    config = config_lib.with_overrides(Config(), {name.replace("__", "."): value for name, value in changes.items()})
    source = types.SimpleNamespace(size=(height, width), channels=3, num_frames=frames)
    return Task(config, FAMILY, FAMILY.plan(config, source), source, "", [])


def needed(max_size: int, frames: int = 1, num_devices: int = 1, **changes) -> int:
    asked = task(frames, data__max_size=max_size, **changes)
    return FAMILY.memory(asked.config, asked.plan, frames, num_devices)


def test_the_estimate_agrees_with_compiled_programs():
    """XLA's figures for compiled steps at ch 32 and batch 5, in MB, as benchmarks/memory.py prints them."""
    for side, compiled in ((64, 165.6), (128, 372.3)):
        square = task(height=side, width=side)
        estimated = FAMILY.memory(square.config, square.plan, 1) / 1e6
        assert 0.8 < estimated / compiled < 1.4


@pytest.mark.parametrize(
    "name, size, batch, compiled",
    [
        ("singan", (188, 250), 1, 993.5),
        ("singan", (121, 160), 1, 206.9),
        ("singan", (94, 125), 4, 389.1),
        ("singan_small", (97, 128), 1, 217.0),
        ("consingan", (188, 250), 1, 554.3),
    ],
)
def test_the_estimates_of_models_that_grow_agree_with_compiled_programs(name, size, batch, compiled):
    """XLA's figures for steps of the last stage, in MB, as benchmarks/pyramid_step.py prints them."""
    overrides = {"batch_size": batch, "data.max_size": max(size)}
    config = config_lib.with_overrides(config_lib.from_config_dict(config_file.load(name)), overrides)
    family = registry.get(config.model.name)
    source = types.SimpleNamespace(size=size, channels=3, num_frames=1)
    plan = family.plan(config, source)
    estimated = family.memory(config, plan, 1) / 1e6
    assert 0.8 < estimated / compiled < 1.4


def test_activations_follow_the_batch_on_each_device():
    activations = needed(330, batch_size=10) - needed(330)
    assert activations == pytest.approx(needed(330, batch_size=15) - needed(330, batch_size=10))
    assert needed(330, batch_size=10, num_devices=2) == needed(330)


def test_a_clip_costs_its_frames():
    assert needed(330, frames=101) - needed(330, frames=1) == 100 * 192 * 320 * 3 * 4


def test_the_refusal_names_the_largest_size_that_fits(monkeypatch):
    there = needed(200)
    monkeypatch.setattr(devices, "available_memory", lambda: there)
    with pytest.raises(UserError) as error:
        memory.require(task(), 1)
    named = int(re.search(r"the largest data\.max_size that fits is (\d+); or lower batch_size,", str(error.value))[1])
    assert needed(named) <= there
    assert all(needed(larger) > there for larger in range(named + 1, 331))


def test_what_fits_passes_and_what_never_fits_says_so(monkeypatch):
    monkeypatch.setattr(devices, "available_memory", lambda: needed(330))
    memory.require(task(), 1)
    monkeypatch.setattr(devices, "available_memory", lambda: 1000)
    with pytest.raises(UserError, match=r"too little at any data\.max_size: lower batch_size, model\.ch_g"):
        memory.require(task(), 1)


@pytest.mark.parametrize("name", registry.names())
def test_settings_that_a_refusal_names_are_the_familys(name):
    named = re.findall(r"\w+\.\w+|batch_size", registry.get(name).lighter)
    assert named and set(named) <= set(config_lib.flatten(registry.config_class(name)()))


def test_the_device_offers_something():
    assert 10**8 < devices.available_memory() < 10**14


UNIFIED = ("memory.max", "memory.current", "memory.stat", "anon 1\ninactive_file")
MEMORY = ("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat", "cache 1\ntotal_inactive_file")


def group(folder: Path, files: tuple[str, ...], limit: str, used: str = "2500000", cached: str = "400000") -> None:
    """Writes what Linux shows of a control group."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in zip(files, (limit, used, f"{files[3]} {cached}"), strict=False):
        (folder / name).write_text(f"{text}\n")


def available(folder: Path, *lines: str) -> int:
    """What is available to a process whose groups are these lines of /proc/self/cgroup."""
    (folder / "own").write_text("".join(f"{line}\n" for line in lines))
    return system_memory.available(folder, folder / "own")


@pytest.mark.parametrize(("files", "outer", "line"), [(UNIFIED, "", "0::/"), (MEMORY, "memory", "4:cpu,memory:/")])
@pytest.mark.parametrize("name", ["", "user.slice/job:7.scope", "../outside"])
def test_the_limit_of_a_container_counts(tmp_path, files, outer, line, name):
    """It sees its own group as the outermost one, whatever its name is outside."""
    group(tmp_path / outer, files, "3000000")
    assert available(tmp_path, "1:devices:/elsewhere", line + name) == 900000
    group(tmp_path / outer, files, "1000000", "2000000", "0")
    assert available(tmp_path, line + name) == 0


@pytest.mark.parametrize(("files", "outer", "line"), [(UNIFIED, "", "0::/"), (MEMORY, "memory", "4:memory:/")])
def test_the_smallest_of_the_limits_of_a_group_and_those_around_it_counts(tmp_path, files, outer, line):
    outermost = tmp_path / outer
    group(outermost / "job" / "step", files, "7000000")
    group(outermost / "job", files, "6000000")
    group(outermost / "other", files, "3000000")
    assert available(tmp_path, f"{line}job/step") == 3900000
    assert available(tmp_path, f"{line}job") == 3900000
    group(outermost / "job" / "step", files, "5000000")
    assert available(tmp_path, f"{line}job/step") == 2900000
    there = psutil.virtual_memory().total
    assert there / 100 < available(tmp_path, line) <= there


@pytest.mark.parametrize(("files", "outer"), [(UNIFIED, ""), (MEMORY, "memory")])
def test_the_outermost_limit_counts_where_the_process_does_not_see_its_groups(tmp_path, files, outer):
    assert system_memory.available(tmp_path, tmp_path / "absent") > 10**7
    group(tmp_path / outer, files, "3000000")
    assert system_memory.available(tmp_path, tmp_path / "absent") == 900000


@pytest.mark.parametrize("limit", ["max", "9223372036854771712"])
def test_a_container_without_a_limit_has_the_memory_of_the_system(tmp_path, limit):
    group(tmp_path, UNIFIED, limit)
    there = psutil.virtual_memory().total
    assert there / 100 < available(tmp_path, "0::/") <= there
