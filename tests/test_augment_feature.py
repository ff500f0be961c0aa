"""Feature augmentation: true exchanges between partners, drops, and how often and how much of each."""

import jax
import numpy as np
import pytest

from siv_jax.nn.two_branch import feature_augment as augment

content_of = jax.jit(augment.augment_content, static_argnums=2)
layout_of = jax.jit(augment.augment_layout, static_argnums=2)
CHANNELS = 64
DRAWS = 400


def distinct(*shape: int) -> np.ndarray:
    """Every value once, none of them zero, so that the result tells where each came from."""
    return np.arange(1, np.prod(shape) + 1, dtype=np.float32).reshape(shape)


def contents(batch: int, channels: int, probability: float, draws: int = DRAWS):
    """(content, its augmentations [draws, B, C])."""
    rng = np.random.default_rng(0)
    content = distinct(batch, 1, 1, channels)
    made = [
        np.asarray(content_of(rng.random((batch, channels + 4)).astype(np.float32), content, probability))[:, 0, 0]
        for _ in range(draws)
    ]
    return content[:, 0, 0], np.stack(made)


@pytest.mark.parametrize("batch", range(2, 9))
def test_every_sample_has_another_as_its_partner(batch):
    source, leader = augment.partners(batch)
    assert sorted(source) == list(range(batch)), "an exchange: each gives once"
    assert all(source[i] != i for i in range(batch))
    assert all(leader[source[i]] == leader[i] and leader[leader[i]] == leader[i] for i in range(batch))
    sizes = np.unique(leader, return_counts=True)[1]
    assert set(sizes) <= {2, 3} and np.sum(sizes == 3) == batch % 2


@pytest.mark.parametrize("batch", [2, 4, 5])
def test_content_is_exchanged_and_dropped(batch):
    content, made = contents(batch, CHANNELS, 1.0)
    source, leader = augment.partners(batch)
    dropped, swapped = made == 0, made == content[source]
    assert (dropped | swapped | (made == content)).all()
    for exchange, drop in zip(swapped, dropped, strict=True):
        for i in range(batch):
            # A true exchange: whoever shares the group takes from the same channels, and nothing is lost but drops.
            theirs = exchange[leader[i]] | drop[leader[i]] | drop[i]
            assert np.array_equal(exchange[i] | drop[leader[i]] | drop[i], theirs)
    for share in (swapped.mean(-1), dropped.mean(-1)):
        assert 0.1 - 0.5 / CHANNELS <= share.min() < 0.13 and 0.27 < share.max() <= 0.3 + 0.5 / CHANNELS
    # Any channel can be taken, none is preferred.
    for taken in (swapped, dropped):
        share = taken.mean((0, 1))
        assert share.min() > 0.1 and share.max() < 0.32
    assert len({bytes(row) for row in dropped[:, 0]}) > DRAWS / 2, "other channels in each step"
    assert not np.array_equal(dropped[:, 0], dropped[:, 1]), "other channels in each sample"


@pytest.mark.parametrize("batch", [2, 4, 5])
def test_without_drops_each_channels_values_are_permuted_over_the_batch(batch):
    content = distinct(batch, 1, 1, CHANNELS)
    uniform = np.random.default_rng(1).random((batch, CHANNELS + 4)).astype(np.float32)
    uniform[:, CHANNELS + 2] = 0.999  # this decides on the drop
    made = np.asarray(content_of(uniform, content, 0.9))
    assert (made != content).any((1, 2, 3)).all() or (uniform[:, CHANNELS] > 0.9).any()
    np.testing.assert_array_equal(np.sort(made, axis=0), np.sort(content, axis=0))


def test_a_dropped_channel_is_never_one_that_was_exchanged():
    content, made = contents(4, 16, 1.0)
    source, _ = augment.partners(4)
    # The exchange happens always; a channel both exchanged and dropped would leave less than 10% exchanged.
    assert (made == content[source]).sum(-1).min() >= 1
    assert (made == content).sum(-1).min() >= 16 - 5 - 5


@pytest.mark.parametrize("probability", [0.0, 0.4, 1.0])
def test_content_changes_as_often_as_asked(probability):
    content, made = contents(4, CHANNELS, probability)
    source, _ = augment.partners(4)
    swapped = (made == content[source]).any(-1)
    dropped = (made == 0).any(-1)
    tolerance = 4 * np.sqrt(probability * (1 - probability) / (2 * DRAWS)) + 1e-9
    assert abs(swapped.mean() - probability) < tolerance
    assert abs(dropped.mean() - probability) < tolerance
    np.testing.assert_array_equal(swapped[:, 0], swapped[:, 1])
    if 0 < probability < 1:
        assert abs((swapped[:, 0] & swapped[:, 2]).mean() - probability**2) < 0.1, "groups draw by themselves"
        assert abs((swapped[:, 0] & dropped[:, 0]).mean() - probability**2) < 0.1
    if probability == 0:
        assert (made == content).all()


def layouts(batch: int, height: int, width: int, probability: float, draws: int = DRAWS):
    rng = np.random.default_rng(0)
    layout = distinct(batch, height, width, 2)
    made = [np.asarray(layout_of(rng.random((batch, 5)).astype(np.float32), layout, probability)) for _ in range(draws)]
    return layout, np.stack(made)


@pytest.mark.parametrize("batch", [2, 4, 5])
@pytest.mark.parametrize("size", [(20, 30), (8, 8), (3, 5)])
def test_layout_exchanges_one_rectangle_at_the_same_place(batch, size):
    height, width = size
    layout, made = layouts(batch, height, width, 1.0, draws=150)
    source, leader = augment.partners(batch)
    for result in made:
        np.testing.assert_array_equal(np.sort(result, axis=0), np.sort(layout, axis=0))
        moved = result != layout
        np.testing.assert_array_equal(moved[..., 0], moved[..., 1])
        np.testing.assert_array_equal(moved, moved[leader])
        np.testing.assert_array_equal(result[moved], layout[source][moved])
        for rectangle in moved[..., 0]:
            rows, columns = np.flatnonzero(rectangle.any(1)), np.flatnonzero(rectangle.any(0))
            assert len(rows) and rectangle.sum() == len(rows) * len(columns)
            for cells, side in ((rows, height), (columns, width)):
                assert np.array_equal(cells, np.arange(cells[0], cells[-1] + 1))
                assert max(1, round(0.1 * side)) <= len(cells) <= max(1, round(0.5 * side))
    taken = (made != layout)[:, 0, ..., 0]
    assert taken.any((0, 1)).all() and taken.any((0, 2)).all(), "any row and column can be exchanged"
    if height >= 8:
        extents = taken.any(2).sum(1)
        assert extents.min() == round(0.1 * height) and extents.max() == round(0.5 * height)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (2, 2)])
def test_the_smallest_maps_stay_defined(size):
    layout, made = layouts(2, *size, 1.0, draws=20)
    for result in made:
        np.testing.assert_array_equal(np.sort(result, axis=0), np.sort(layout, axis=0))
        assert (result != layout).any()


@pytest.mark.parametrize("probability", [0.0, 0.4, 1.0])
def test_layout_changes_as_often_as_asked(probability):
    layout, made = layouts(4, 8, 8, probability)
    changed = (made != layout).any((2, 3, 4))
    tolerance = 4 * np.sqrt(probability * (1 - probability) / (2 * DRAWS)) + 1e-9
    assert abs(changed.mean() - probability) < tolerance
    if 0 < probability < 1:
        assert abs((changed[:, 0] & changed[:, 2]).mean() - probability**2) < 0.1


def test_gradients_go_where_the_values_came_from():
    rng = np.random.default_rng(3)
    uniform = rng.random((3, 20)).astype(np.float32)
    content = rng.normal(size=(3, 1, 1, 16)).astype(np.float32)
    weights = rng.normal(size=(3, 1, 1, 16)).astype(np.float32)
    made, back = jax.vjp(lambda x: augment.augment_content(uniform, x, 1.0), content)
    (gradient,) = back(weights)
    np.testing.assert_allclose(np.sum(gradient * content), np.sum(made * weights), rtol=1e-5)
