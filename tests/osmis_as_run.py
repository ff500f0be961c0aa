"""The original OSMIS' feature augmentation decision by decision, on recorded draws: the reference of its golden tests.

Each function returns what the original makes of its input, and the numbers that this package's functions take for the
same decisions. Features and masks are [B, h, w, channels].
"""

from typing import NamedTuple

import numpy as np

from siv_jax.models.osmis import layout_augment, pair_augment
from siv_jax.models.osmis.layout_augment import COPY, EXCHANGE, FREE, TRIES

NO, LAST = 0.999, 0.9999  # a decision against, at every probability that is recorded; the end of a range


class Draws:
    """Recorded draws in the order of the calls."""

    def __init__(self, case: dict):
        self._left = iter(case["draws"])

    def __call__(self, kind: str = "random"):
        found, value = next(self._left)
        assert found == kind
        return value[0] if kind == "rand" else value

    def ended(self) -> bool:
        return next(self._left, None) is None


class Replayed(NamedTuple):
    features: np.ndarray
    uniform: np.ndarray


def rectangle(drawn: list[float], shape: tuple[int, int]) -> list[list[int]]:
    """[[top, bottom], [left, right]]."""
    edges = []
    for centre, size, side in ((drawn[0], drawn[2], shape[0]), (drawn[1], drawn[3], shape[1])):
        length = (0.1 + 0.4 * size) * side
        start, end = int(centre * side - length / 2), int(centre * side + length / 2)
        if start < 0:
            start, end = 0, end - start
        if end > side - 1:
            start, end = start - (end - (side - 1)), side - 1
        edges.append([start, end])
    return edges


def free(mask: np.ndarray, rows: list[int], columns: list[int]) -> bool:
    return mask[slice(*rows), slice(*columns), 1:].sum() <= FREE


def copied(case: dict, features: np.ndarray, mask: np.ndarray) -> Replayed:
    draw, features, mask, shape = Draws(case), features.copy(), mask.copy(), mask.shape[1:3]
    uniform = np.full((len(mask), COPY), NO, np.float32)
    for i in range(len(mask)):
        uniform[i, 0] = draw()
        if uniform[i, 0] >= case["prob"]:
            continue
        drawn = [draw() for _ in range(4)]
        uniform[i, 1:5] = drawn
        rows, columns = rectangle(drawn, shape)
        for k in range(TRIES):
            drawn = [draw() for _ in range(4)]
            uniform[i, 5 + 4 * k : 9 + 4 * k] = drawn
            others = []
            for own, at, side in ((rows, 0, shape[0]), (columns, 1, shape[1])):
                start = max(0, int(drawn[at] * side - (0.1 + 0.4 * drawn[at + 2]) * side / 2))
                start = min(start, side - 1 - (own[1] - own[0]))
                others.append([start, start + own[1] - own[0]])
            apart = any(a[1] <= b[0] or b[1] <= a[0] for a, b in zip((rows, columns), others, strict=True))
            if apart and free(mask[k], rows, columns) and free(mask[k], *others):
                for array in (features, mask):
                    array[i, slice(*rows), slice(*columns)] = array[i, slice(*others[0]), slice(*others[1])]
                # What the tries that are not made would draw does not matter.
                break
    assert draw.ended()
    return Replayed(features, uniform)


def pairs(batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Groups as run: the last sample of an odd batch is alone."""
    number = np.arange(batch)
    source, leader = number ^ 1, number // 2 * 2
    if batch % 2:
        source[-1] = leader[-1] = batch - 1
    return source, leader


def exchanged(case: dict, features: np.ndarray, mask: np.ndarray) -> Replayed:
    draw, old, old_mask, shape = Draws(case), features, mask, mask.shape[1:3]
    features, mask = features.copy(), mask.copy()
    uniform = np.full((len(mask), EXCHANGE), NO, np.float32)
    for i in range(0, len(mask) - 1, 2):
        uniform[i, 0] = draw()
        if uniform[i, 0] < case["prob"]:
            for k in range(TRIES):
                drawn = [draw() for _ in range(4)]
                uniform[i, 1 + 4 * k : 5 + 4 * k] = drawn
                rows, columns = rectangle(drawn, shape)
                if free(mask[i], rows, columns) and free(mask[i + 1], rows, columns):
                    where = np.s_[slice(*rows), slice(*columns)]
                    for array, before in ((features, old), (mask, old_mask)):
                        array[i][where], array[i + 1][where] = before[i + 1][where], before[i][where]
                    break
        uniform[i, -2] = draw()
        if uniform[i, -2] < case["prob"]:
            classes = mask.shape[-1]
            label = 1 + draw("randint")
            uniform[i, -1] = (label - 0.5) / (classes - 1)
            area = old_mask[i].argmax(-1) == label
            if mask[i + 1][area][:, 1:].sum() <= FREE:
                features[i + 1][area], mask[i + 1][area] = old[i][area], old_mask[i][area]
    assert draw.ended()
    return Replayed(features, uniform)


def moved(case: dict, features: np.ndarray, mask: np.ndarray) -> Replayed:
    """The first sample alone is changed."""
    draw, features, (height, width) = Draws(case), features.copy(), mask.shape[1:3]
    others = mask.shape[-1] - 1
    uniform = np.full((len(mask), layout_augment.uniforms(mask.shape[-1]) - COPY - EXCHANGE), NO, np.float32)
    count = 1 + draw("randint")
    order = draw("randperm")
    uniform[0, 0] = (count - 0.5) / others
    uniform[0, 1 : 1 + others][order] = np.arange(others) / others
    labels = mask[0].argmax(-1)
    for i, label in enumerate(order[:count]):
        own = uniform[0, 1 + others :].reshape(others, -1)[i]
        area = np.argwhere(labels == label + 1)
        if not len(area):
            continue
        low, high = area.min(0), area.max(0) + 1
        for k in range(TRIES):
            place = draw("randint"), draw("randint")
            own[2 * k : 2 * k + 2] = (place[0] + 0.5) / height, (place[1] + 0.5) / width
            shift = np.array(place) - low
            if ((high + shift) > (height, width)).any() or (labels[tuple((area + shift).T)] != 0).any():
                continue
            own[-2:] = draw(), draw()
            if own[-2] < case["prob"]:
                features[0][tuple((area + shift).T)] = features[0][tuple(area.T)]
                labels[tuple((area + shift).T)] = label + 1
            if own[-1] < case["prob"]:
                old, new = (
                    tuple(slice(*edge) for edge in zip(a, b, strict=True))
                    for a, b in ((low, high), (low + shift, high + shift))
                )
                features[0][old] = features[0][new].copy()
                labels[old] = labels[new].copy()
            break
    assert draw.ended()
    return Replayed(features, uniform)


class Mixed(NamedTuple):
    """content after mix and drop, mixed after the mix alone; pairs: first member, second, and the mixed channels."""

    batch: int
    content: np.ndarray
    mixed: np.ndarray
    pairs: list[tuple[int, int, np.ndarray]]
    uniform_mix: np.ndarray
    uniform_drop: np.ndarray


def mixed(case: dict, content: np.ndarray) -> Mixed:
    """content [M B, C]; B is known from the number of recorded permutations: one for each pair, and one to drop."""
    draw, channels = Draws(case), content.shape[1]
    permutations = sum(kind == "randperm" for kind, _ in case["draws"]) - 1
    batch = next(b for b in range(2 * permutations, 2 * permutations + 2) if len(content) % b == 0)
    content, found = content.copy(), []
    uniform_mix = np.full((batch, channels + 4), NO, np.float32)
    uniform_drop = uniform_mix.copy()
    assert draw() < case["prob"]
    for i in range(0, batch - 1, 2):
        count = int(channels * (0.1 + 0.2 * draw("rand")))
        chosen = np.array(draw("randperm"))[:count]
        content[i, chosen] = content[i + 1, chosen]
        found.append((i, i + 1, chosen))
        # The exchange takes the channels that are lowest, as many as the share says.
        uniform_mix[i, chosen] = 0.0
        uniform_mix[i, channels : channels + 2] = 0.0, (count / channels - 0.1) / 0.2
    before = content.copy()
    assert draw() < case["prob"]
    start, count = (int(channels * (0.1 + 0.2 * draw("rand"))) for _ in range(2))
    chosen = np.array(draw("randperm"))[start : start + count]
    content[:batch, chosen] = 0.0
    uniform_drop[:, :channels] = 0.0
    uniform_drop[:, chosen] = NO
    uniform_drop[:, channels + 2 :] = 0.0, (count / channels - 0.1) / 0.2
    assert draw.ended()
    return Mixed(batch, content, before, found, uniform_mix, uniform_drop)


def pair_draws(draws: list, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers for `pair_augment.augment` at probability 0.5 from the recorded draws of one case."""
    left = iter(draws)
    decisions = np.full(pair_augment.DECISIONS, NO, np.float32)
    places = np.zeros((batch, pair_augment.PLACES), np.float32)

    def decide(number: int, probability: float) -> bool:
        decisions[number] = next(left)[1]
        return decisions[number] < probability

    def place(*numbers: int) -> None:
        for number in numbers:
            places[:, number] = next(left)[1]

    if decide(0, 0.25):
        place(0, 1)
    if decide(1, 0.5):
        if decide(2, 0.5):
            decide(3, 1.0)
            place(2, 3)
        else:
            place(4)
    decide(4, 0.5)
    for number, size, direction in ((5, 5, 7), (6, 6, 8)):
        if decide(number, 0.5):
            place(size, direction)
    assert next(left, None) is None
    return decisions, places
