"""Feature augmentation (FA): mixes content and layout features of real samples (paper, Sec. 3.1).

Samples mix in pairs; in an odd batch the last three exchange in a cycle. As run a pair's second member
overwrites the first's features and, at a batch of 5, the last sample never mixes; here, as the paper says,
they are exchanged, and every sample has a partner. Draws are made from iota masks: no dynamic slices.
"""

import jax
import jax.numpy as jnp
import numpy as np

# Shares of the channels that are swapped or dropped, and of each side of a swapped rectangle.
_CHANNELS = (0.1, 0.3)
_SIDE = (0.1, 0.5)


def partners(batch: int) -> tuple[np.ndarray, np.ndarray]:
    """For each of `batch` >= 2 samples, the sample it receives from and the group they belong to."""
    source = np.arange(batch) ^ 1
    group = np.arange(batch) // 2
    if batch % 2:
        source[-3:] = [batch - 2, batch - 1, batch - 3]
        group[-1] = group[-2]
    return source, group


def augment_content(key: jax.Array, content: jax.Array, probability: float) -> jax.Array:
    """Content features with channels exchanged between partners, and others dropped.

    Args:
      key: drawn from once.
      content: [B, 1, 1, C], B >= 2.
      probability: of the exchange, per group, and of the drop, per sample (as run, per batch).

    Returns:
      Like `content`: 10-30% of the channels come from the partner, another 10-30% are zero.
    """
    batch, channels = content.shape[0], content.shape[-1]
    keys = jax.random.split(key, 3)
    source, group = partners(batch)
    # One ranking per group orders the channels; the swap takes from its start and the drop from its end, so
    # that the two sets never meet.
    rank = jnp.argsort(jnp.argsort(jax.random.uniform(keys[0], (group[-1] + 1, channels)), axis=-1), axis=-1)
    swapped = rank < _count(keys[1], (group[-1] + 1, 1), probability, channels)
    dropped = rank[group] >= channels - _count(keys[2], (batch, 1), probability, channels)
    mixed = jnp.where(swapped[group][:, None, None, :], content[source], content)
    return jnp.where(dropped[:, None, None, :], jnp.zeros_like(mixed), mixed)


def augment_layout(key: jax.Array, layout: jax.Array, probability: float) -> jax.Array:
    """Layout features with one rectangle exchanged between partners at the same place.

    Args:
      key: drawn from once.
      layout: [B, H, W, C], B >= 2.
      probability: of the exchange, per group.

    Returns:
      Like `layout`; each side of the rectangle is 10-50% of the map's, at least one cell.
    """
    batch, height, width, _ = layout.shape
    source, group = partners(batch)
    keys = jax.random.split(key, 5)
    groups = (group[-1] + 1, 1)
    rows = _interval(keys[0], keys[1], groups, height)
    columns = _interval(keys[2], keys[3], groups, width)
    drawn = jax.random.uniform(keys[4], (groups[0], 1, 1)) < probability
    inside = rows[:, :, None] & columns[:, None, :] & drawn
    return jnp.where(inside[group][..., None], layout[source], layout)


def _count(key: jax.Array, shape: tuple[int, ...], probability: float, channels: int) -> jax.Array:
    """How many channels are taken: 0, or with `probability` 10-30% of them, at least one."""
    drawn, share = jax.random.split(key)
    count = jnp.round(jax.random.uniform(share, shape, minval=_CHANNELS[0], maxval=_CHANNELS[1]) * channels)
    taken = jax.random.uniform(drawn, shape) < probability
    return jnp.where(taken, jnp.maximum(count, 1.0), 0.0).astype(jnp.int32)


def _interval(size_key: jax.Array, place_key: jax.Array, shape: tuple[int, int], length: int) -> jax.Array:
    """Masks [*shape[:1], length] of random intervals inside 0..length-1."""
    size = jnp.round(jax.random.uniform(size_key, shape, minval=_SIDE[0], maxval=_SIDE[1]) * length)
    size = jnp.clip(size, 1.0, float(length)).astype(jnp.int32)
    start = jnp.floor(jax.random.uniform(place_key, shape) * (length - size + 1).astype(jnp.float32))
    start = start.astype(jnp.int32)
    cells = jnp.arange(length, dtype=jnp.int32)
    return (cells >= start) & (cells < start + size)
