"""InGAN's crop swap: rectangles that change places, and a way back judged away from their edges."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from siv_jax import config as config_lib
from siv_jax.errors import UserError
from siv_jax.models.ingan import crop_swap
from siv_jax.models.ingan.config import Config
from siv_jax.models.ingan.objectives import Players
from siv_jax.models.ingan.plan import make_plan


def config(**changes) -> Config:
    settings = {"swap_probability": 0.5, "swap_min_side": 8, "swap_max_side": 16} | changes
    return config_lib.with_overrides(Config(), {f"transform.{name}": value for name, value in settings.items()})


def crops(count: int, side: int = 32) -> jax.Array:
    """Every pixel is another number."""
    return jnp.arange(count * side * side * 3, dtype=jnp.float32).reshape(count, side, side, 3)


@functools.cache
def swapped(**changes):
    given = crops(64)
    draw = jax.jit(functools.partial(crop_swap.drawn, config=config(**changes).transform))
    return np.asarray(given), *jax.tree.map(np.asarray, draw(jax.random.key(1), given))


def test_so_many_crops_are_swapped_and_the_others_left_alone():
    given, found, swap = swapped()
    changed = (found != given).any(axis=(1, 2, 3))
    assert 20 < changed.sum() < 44
    np.testing.assert_array_equal(changed, swap.swapped)
    assert (swap.counted[~changed] == 1).all()
    assert (swap.counted[changed] == 0).any(axis=(1, 2, 3)).all()


def test_pixels_come_from_rectangles_of_the_sizes_asked_for():
    given, found, swap = swapped(swap_probability=1.0)
    assert swap.swapped.all()
    moves = set()
    for crop, image in zip(given, found, strict=True):
        assert np.isin(image, crop).all()
        rows, columns = np.nonzero((image != crop).any(axis=2))
        moves.add((rows.min(), columns.min()))
        for places in (rows, columns):
            assert 8 <= np.ptp(places) + 1 <= 32
    assert len(moves) > 30  # each crop draws for itself


def test_rectangles_larger_than_the_crop_are_made_smaller():
    given, found, _ = swapped(swap_probability=1.0, swap_min_side=1024, swap_max_side=1024)
    np.testing.assert_array_equal(given, found)  # of the largest size, whose only place is the first


def test_two_rectangles_in_closed_form():
    crop, corners, sizes = crops(1)[0], jnp.array([[10, 1], [12, 20]]), jnp.array([8, 9])
    found = np.asarray(crop_swap.exchanged(crop, corners, sizes))
    expected = np.array(crop)
    expected[10:18, 1:10], expected[12:20, 20:29] = crop[12:20, 20:29], crop[10:18, 1:10]
    np.testing.assert_array_equal(found, expected)
    mask = np.ones((32, 32))
    for start, stop, left, right in ((10, 18, 1, 10), (12, 20, 20, 29)):
        for edge in (start, stop):
            mask[edge - 5 : edge + 5, left:right] = 0
        for edge in (left, right):
            if edge >= 5:  # else the band is dropped whole
                mask[start:stop, edge - 5 : edge + 5] = 0
    np.testing.assert_array_equal(crop_swap.away_from_edges((32, 32), corners, sizes)[:, :, 0], mask)


@pytest.mark.parametrize("was_swapped", [False, True])
def test_the_way_back_of_a_swapped_crop_is_its_squared_difference_where_it_counts(monkeypatch, was_swapped):
    settings = config()
    players = Players(make_plan(64, 64, 3, settings), settings)
    rng = np.random.default_rng(0)
    back, wanted = (jnp.asarray(rng.uniform(-1, 1, (1, 64, 64, 3)), jnp.float32) for _ in range(2))
    monkeypatch.setattr(players, "way_back", lambda *given: (back, jnp.ones((1, 64, 64, 1), jnp.float32)))
    counted = np.float32(rng.random((1, 64, 64, 1)) < 0.7)
    swap = crop_swap.Swap(jnp.asarray(counted if was_swapped else np.ones_like(counted)), jnp.array([was_swapped]))
    found = players.reconstruction(None, None, None, None, None, wanted, swap)
    difference = np.asarray(back - wanted)
    where = np.broadcast_to(counted > 0, difference.shape)
    expected = np.square(difference)[where].mean() if was_swapped else np.abs(difference).mean()
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_sizes_that_exclude_each_other_are_refused():
    with pytest.raises(UserError, match=r"swap_max_side is 16, less than transform\.swap_min_side, which is 20"):
        config(swap_min_side=20)
