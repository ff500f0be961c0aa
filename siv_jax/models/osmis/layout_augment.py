"""Feature augmentation of the layout branch with masks: backgrounds are copied, exchanged, and objects moved.

Every stage says for each cell of the map which cell, of which sample, takes its place; features and masks follow in
one gather. Masks are [B, h, w, M] at the map's size, class 0 is the background, and a place is free where the other
classes sum up to no more than FREE.

What the original runs wrongly is done right here:
- Copying background, it looks whether the places are free in the sample whose index is that of the try, not in the
  sample that is changed (`tested` gives its behaviour to the tests).
- It moves objects in the first sample alone; here in every sample.
- Where an object is both duplicated and removed, its removal copies it back; here it moves (`as_run` for the tests).
- The last sample of an odd batch exchanges nothing; here every sample has a partner.
"""

import jax
import jax.numpy as jnp
import numpy as np

from siv_jax.nn.two_branch.feature_augment import partners

TRIES = 5
FREE = 0.01
_SIDE = (0.1, 0.5)  # of a rectangle, of the map's side

# Uniform numbers per sample of the first two stages.
COPY = 1 + 4 * (1 + TRIES)
EXCHANGE = 1 + 4 * TRIES + 2
_MOVE = 2 * TRIES + 2  # of the third, per class


def uniforms(num_classes: int) -> int:
    """Uniform numbers per sample of all stages."""
    return COPY + EXCHANGE + _moving(num_classes)


def augment_layout(uniform: jax.Array, features: jax.Array, mask: jax.Array, probability: float) -> jax.Array:
    """Features after all stages.

    Args:
      uniform: float32 [B, uniforms(M)] in [0, 1).
      features: [B, h, w, C], B >= 2.
      mask: float32 [B, h, w, M].
      probability: of each decision.
    """
    places = _own(mask.shape)
    for stage, count in ((copied, COPY), (exchanged, EXCHANGE), (moved, _moving(mask.shape[-1]))):
        found = stage(uniform[:, :count], mask, probability)
        places, mask, uniform = taken(places, found), taken(mask, found), uniform[:, count:]
    return taken(features, places)


def taken(x: jax.Array, places: jax.Array) -> jax.Array:
    """x [B, h, w, ...] with each cell taken from `places`, int32 [B, h, w] of cells counted through the batch."""
    cells = x.reshape(-1, *x.shape[3:])
    return jnp.take(cells, places.reshape(-1), axis=0, mode="clip").reshape(x.shape)


def copied(uniform: jax.Array, mask: jax.Array, probability: float, tested: np.ndarray | None = None) -> jax.Array:
    """Places after a rectangle of background was copied onto another one of each sample.

    Args:
      uniform: [B, COPY]: the decision, the first rectangle, and TRIES second ones.
      tested: int [B, TRIES], the sample in which each try must be free; None: the sample's own.
    """
    batch, height, width, _ = mask.shape
    decided, drawn = uniform[:, 0] < probability, uniform[:, 1:].reshape(batch, 1 + TRIES, 4)
    (top, bottom), (left, right) = _rectangle(drawn[:, :1], height, width)  # [B, 1]
    # A second rectangle begins where one of its own random size would, and is as large as the first.
    top2, left2 = (
        jnp.minimum(jnp.maximum(_bounds(drawn[:, 1:, i], drawn[:, 1:, i + 2], side)[0], 0), side - 1 - (end - start))
        for i, side, start, end in ((0, height, top, bottom), (1, width, left, right))
    )
    bottom2, right2 = top2 + bottom - top, left2 + right - left  # [B, TRIES]
    first, second = _inside(mask, top, bottom, left, right), _inside(mask, top2, bottom2, left2, right2)
    tested = np.repeat(np.arange(batch)[:, None], TRIES, 1) if tested is None else tested
    objects = _objects(mask)[tested]
    apart = (bottom2 <= top) | (bottom <= top2) | (right2 <= left) | (right <= left2)
    good = decided[:, None] & apart & _free(objects, first) & _free(objects, second)
    down, across = (_first(good, start2) - start[:, 0] for start2, start in ((top2, top), (left2, left)))
    return jnp.where(first[:, 0] & good.any(1)[:, None, None], _shifted(mask.shape, down, across), _own(mask.shape))


def exchanged(
    uniform: jax.Array,
    mask: jax.Array,
    probability: float,
    groups: tuple[np.ndarray, np.ndarray] | None = None,
) -> jax.Array:
    """Places after partners exchanged a rectangle of background, and gave on an object where there is room for it.

    Args:
      uniform: [B, EXCHANGE]: the decision and TRIES rectangles, the decision to give on an object, and its class; a
        group uses its first member's row.
      groups: for each sample the one it receives from, and the first of its group; see `partners`. The first member
        is given no object.
    """
    batch, height, width, classes = mask.shape
    source, leader = partners(batch) if groups is None else groups
    drawn, objects = uniform[leader], _objects(mask)
    (top, bottom), (left, right) = _rectangle(drawn[:, 1:-2].reshape(batch, TRIES, 4), height, width)
    inside = _inside(mask, top, bottom, left, right)
    free = _free(objects[:, None], inside)
    good = (drawn[:, 0] < probability)[:, None] & free & free[source] & free[source[source]]
    rectangle = jnp.take_along_axis(inside, jnp.argmax(good, 1)[:, None, None, None], 1)[:, 0]
    rectangle &= good.any(1)[:, None, None]
    label = 1 + jnp.floor(drawn[:, -1] * (classes - 1)).astype(jnp.int32)
    area = jnp.argmax(mask, -1)[source] == label[:, None, None]
    given = (drawn[:, -2] < probability) & (leader != np.arange(batch)) & _free(objects, area)
    own = _own(mask.shape)
    return jnp.where(rectangle | area & given[:, None, None], own[source], own)


def moved(uniform: jax.Array, mask: jax.Array, probability: float, as_run: bool = False) -> jax.Array:
    """Places after objects were duplicated, removed, or moved, within each sample.

    Of a random number of classes, one after another, each is looked for a place where its area lies on background
    alone; there it is duplicated with `probability`, and with `probability` the box that holds it takes the content of
    the box around the new place.

    Args:
      uniform: [B, 1 + (M - 1) (3 + 2 TRIES)]: how many classes, their order, and for each the rows and columns of the
        TRIES boxes and both decisions.
      as_run: the new place's content is that after the duplication.
    """
    batch, others = mask.shape[0], mask.shape[-1] - 1
    count = 1 + jnp.floor(uniform[:, 0] * others).astype(jnp.int32)
    order = 1 + jnp.argsort(uniform[:, 1 : 1 + others], axis=-1).astype(jnp.int32)
    drawn = uniform[:, 1 + others :].reshape(batch, others, _MOVE)

    def move(i, state):
        places, labels = state
        found = _moved_class(drawn[:, i], labels, order[:, i], i < count, probability, as_run)
        return taken(places, found), taken(labels, found)

    start = _own(mask.shape), jnp.argmax(mask, -1).astype(jnp.int32)
    return jax.lax.fori_loop(0, others, move, start)[0]


def _moved_class(drawn, labels, label, active, probability, as_run) -> jax.Array:
    """Places after the objects of one class, `label` [B], were moved in samples `active` [B]; labels [B, h, w]."""
    shape = height, width = labels.shape[1:]
    area = labels == label[:, None, None]
    (top, bottom), (left, right) = (_extent(area.any(axis), side) for axis, side in ((2, height), (1, width)))
    rows = jnp.floor(drawn[:, 0 : 2 * TRIES : 2] * height).astype(jnp.int32)
    columns = jnp.floor(drawn[:, 1 : 2 * TRIES : 2] * width).astype(jnp.int32)
    down, across = rows - top[:, None], columns - left[:, None]  # [B, TRIES]
    fits = (rows + (bottom - top)[:, None] <= height) & (columns + (right - left)[:, None] <= width)
    # The background seen from the object, shifted by each try.
    ground = jnp.take_along_axis(
        (labels == 0).reshape(len(labels), 1, -1), _cells(shape, down, across).reshape(*down.shape, -1), axis=2
    ).reshape(*down.shape, *shape)
    good = fits & (ground | ~area[:, None]).all((2, 3)) & (active & area.any((1, 2)))[:, None]
    down, across = _first(good, down), _first(good, across)
    decided = good.any(1)[:, None] & (drawn[:, -2:] < probability)
    new = area.reshape(len(labels), -1)
    new = jnp.take_along_axis(new, _cells(shape, -down, -across).reshape(len(labels), -1), 1).reshape(area.shape)
    new &= _window(shape, -down, -across)
    box = _inside(labels, *(edge[:, None] for edge in (top, bottom, left, right)))[:, 0]
    own, there = _own(labels.shape), _shifted(labels.shape, down, across)
    duplicated = new & decided[:, 0, None, None]
    removed = box & decided[:, 1, None, None]
    after = jnp.where(duplicated, _shifted(labels.shape, -down, -across), own)
    if as_run:
        return jnp.where(removed, taken(after, there), after)
    return jnp.where(removed & ~duplicated, there, after)


def _moving(num_classes: int) -> int:
    return 1 + (num_classes - 1) * (1 + _MOVE)


def _rectangle(drawn: jax.Array, height: int, width: int):
    """((top, bottom), (left, right)) of rectangles inside the map from [..., 4] draws: centre y, x and sides y, x.

    As run a rectangle that reaches over an edge is shifted inside, and the last row and column are never reached.
    """
    return tuple(
        _shifted_inside(*_bounds(drawn[..., i], drawn[..., i + 2], side), side - 1)
        for i, side in ((0, height), (1, width))
    )


def _bounds(centre: jax.Array, size: jax.Array, side: int) -> tuple[jax.Array, jax.Array]:
    """Start and end before shifting: both truncated towards zero, as run."""
    half = (_SIDE[0] + (_SIDE[1] - _SIDE[0]) * size) * side / 2
    return (centre * side - half).astype(jnp.int32), (centre * side + half).astype(jnp.int32)


def _shifted_inside(start: jax.Array, end: jax.Array, last: int) -> tuple[jax.Array, jax.Array]:
    before, beyond = jnp.maximum(-start, 0), jnp.maximum(end - last, 0)
    return start + before - beyond, end + before - beyond


def _extent(occupied: jax.Array, side: int) -> tuple[jax.Array, jax.Array]:
    """First True and one past the last of bool [B, side]."""
    return jnp.argmax(occupied, 1).astype(jnp.int32), side - jnp.argmax(occupied[:, ::-1], 1).astype(jnp.int32)


def _inside(like: jax.Array, top, bottom, left, right) -> jax.Array:
    """bool [B, n, h, w]: the cells of rectangles whose edges are [B, n], on a map [B, h, w, ...]."""
    rows, columns = (jnp.arange(side, dtype=jnp.int32) for side in like.shape[1:3])
    vertical = (rows >= top[..., None]) & (rows < bottom[..., None])
    horizontal = (columns >= left[..., None]) & (columns < right[..., None])
    return vertical[..., :, None] & horizontal[..., None, :]


def _objects(mask: jax.Array) -> jax.Array:
    """The classes but the background, summed up: [B, h, w]."""
    return jnp.sum(mask[..., 1:], -1)


def _free(objects: jax.Array, area: jax.Array) -> jax.Array:
    """Whether no object lies in `area`, both [..., h, w]."""
    return jnp.sum(jnp.where(area, objects, 0.0), (-2, -1)) <= FREE


def _first(good: jax.Array, values: jax.Array) -> jax.Array:
    """values [B, n] of the first good try."""
    return jnp.take_along_axis(values, jnp.argmax(good, 1)[:, None], 1)[:, 0]


def _own(shape: tuple[int, ...]) -> jax.Array:
    """Each cell's own place."""
    batch, height, width = shape[:3]
    return jnp.arange(batch * height * width, dtype=jnp.int32).reshape(batch, height, width)


def _cells(shape: tuple[int, int], down: jax.Array, across: jax.Array) -> jax.Array:
    """Within one sample, the cell that lies `down` and `across` (both [...]) of each, held inside: [..., h, w]."""
    rows, columns = (
        jnp.clip(jnp.arange(side, dtype=jnp.int32) + by[..., None], 0, side - 1)
        for side, by in zip(shape, (down, across), strict=True)
    )
    return rows[..., :, None] * shape[1] + columns[..., None, :]


def _window(shape: tuple[int, int], down: jax.Array, across: jax.Array) -> jax.Array:
    """Where `_cells` need not be held inside."""
    rows, columns = (
        jnp.arange(side, dtype=jnp.int32) + by[..., None] for side, by in zip(shape, (down, across), strict=True)
    )
    rows, columns = (rows >= 0) & (rows < shape[0]), (columns >= 0) & (columns < shape[1])
    return rows[..., :, None] & columns[..., None, :]


def _shifted(shape: tuple[int, ...], down: jax.Array, across: jax.Array) -> jax.Array:
    """Places of each sample's own cells, `down` and `across` [B] of each."""
    batch, height, width = shape[:3]
    first = jnp.arange(batch, dtype=jnp.int32)[:, None, None] * (height * width)
    return first + _cells((height, width), down, across)
