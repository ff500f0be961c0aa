"""The memory estimate and the refusal of runs that would not fit."""

import dataclasses

import pytest

from siv_jax.config import Config
from siv_jax.errors import UserError
from siv_jax.models.siv_gan import memory
from siv_jax.models.siv_gan.plan import make_plan

CONFIG = Config()


def needed(max_size: int, config: Config = CONFIG, frames: int = 1, devices: int = 1) -> int:
    return memory.estimate(make_plan(480, 854, 3, max_size, config.model), config, frames, devices)


def test_the_estimate_agrees_with_compiled_programs():
    """XLA's figures for compiled steps at ch 32 and batch 5, in MB, as benchmarks/memory.py prints them."""
    for side, compiled in ((64, 165.6), (128, 372.3)):
        estimated = memory.estimate(make_plan(side, side, 3, side, CONFIG.model), CONFIG, 1, 1) / 1e6
        assert 0.8 < estimated / compiled < 1.4


def test_activations_follow_the_batch_on_each_device():
    doubled = dataclasses.replace(CONFIG, batch_size=10)
    activations = needed(330, doubled) - needed(330)
    assert activations == pytest.approx(needed(330, dataclasses.replace(CONFIG, batch_size=15)) - needed(330, doubled))
    assert needed(330, doubled, devices=2) == needed(330)


def test_a_clip_costs_its_frames():
    assert needed(330, frames=101) - needed(330, frames=1) == 100 * 192 * 320 * 3 * 4


def test_the_refusal_names_the_largest_size_that_fits():
    there = needed(200)
    with pytest.raises(UserError) as error:
        memory.require(needed(330), there, 330, needed)
    named = int(str(error.value).rsplit(" ", 1)[1])
    assert needed(named) <= there
    assert all(needed(larger) > there for larger in range(named + 1, 331))


def test_what_fits_passes_and_what_never_fits_says_so():
    memory.require(needed(330), needed(330), 330, needed)
    with pytest.raises(UserError, match=r"too little for any data\.max_size"):
        memory.require(needed(330), 1000, 330, needed)


def test_the_device_offers_something():
    assert 10**8 < memory.available() < 10**14
