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
    """For each of `batch` >= 2 samples, the sample it receives from and the first member of its group."""
    source = np.arange(batch) ^ 1
    leader = np.arange(batch) // 2 * 2
    if batch % 2:
        source[-3:] = [batch - 2, batch - 1, batch - 3]
        leader[-1] = batch - 3
    return source, leader


def augment_content(uniform: jax.Array, content: jax.Array, probability: float) -> jax.Array:
    """Content features with channels exchanged between partners, and others dropped.

    10-30% of the channels come from the partner, another 10-30% are zero.

    Args:
      uniform: float32 [B, C + 4] in [0, 1); a group uses its first member's row.
      content: [B, 1, 1, C], B >= 2.
      probability: of the exchange, per group, and of the drop, per sample (as run, per batch).
    """
    batch, channels = content.shape[0], content.shape[-1]
    source, leader = partners(batch)
    # One ranking per group orders the channels; the swap takes from its start and the drop from its end, so
    # that the two sets never meet.
    rank = jnp.argsort(jnp.argsort(uniform[leader, :channels], axis=-1), axis=-1)
    swapped = rank < _count(uniform[leader, channels : channels + 2], probability, channels)
    dropped = rank >= channels - _count(uniform[:, channels + 2 :], probability, channels)
    mixed = jnp.where(swapped[:, None, None, :], content[source], content)
    return jnp.where(dropped[:, None, None, :], jnp.zeros_like(mixed), mixed)


def augment_layout(uniform: jax.Array, layout: jax.Array, probability: float) -> jax.Array:
    """Layout features with one rectangle exchanged between partners at the same place.

    Each side of the rectangle is 10-50% of the map's, at least one cell.

    Args:
      uniform: float32 [B, 5] in [0, 1); a group uses its first member's row.
      layout: [B, H, W, C], B >= 2.
      probability: of the exchange, per group.
    """
    batch, height, width, _ = layout.shape
    source, leader = partners(batch)
    drawn = uniform[leader]
    rows = _interval(drawn[:, 0:1], drawn[:, 1:2], height)
    columns = _interval(drawn[:, 2:3], drawn[:, 3:4], width)
    inside = rows[:, :, None] & columns[:, None, :] & (drawn[:, 4] < probability)[:, None, None]
    return jnp.where(inside[..., None], layout[source], layout)


def _count(uniform: jax.Array, probability: float, channels: int) -> jax.Array:
    """How many channels are taken, [B, 1]: 0, or with `probability` 10-30% of them, at least one."""
    share = _CHANNELS[0] + (_CHANNELS[1] - _CHANNELS[0]) * uniform[:, 1:2]
    count = jnp.maximum(jnp.round(share * channels), 1.0)
    return jnp.where(uniform[:, 0:1] < probability, count, 0.0).astype(jnp.int32)


def _interval(size: jax.Array, place: jax.Array, length: int) -> jax.Array:
    """Masks [B, length] of intervals inside 0..length-1, from two uniform draws [B, 1]."""
    size = jnp.round((_SIDE[0] + (_SIDE[1] - _SIDE[0]) * size) * length)
    size = jnp.clip(size, 1.0, float(length))
    start = jnp.floor(place * (length - size + 1.0))
    cells = jnp.arange(length, dtype=jnp.float32)
    return (cells >= start) & (cells < start + size)
