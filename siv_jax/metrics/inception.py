"""The Inception network of FID (2015-12-05) as features at four depths.

Batch normalisation is already folded into the kernels and biases (`metrics.network_weights`).
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from siv_jax.metrics.networks import convolution

# Feature channels of the four blocks, which name them: before the first and the second max pool, Mixed_6e,
# and the last one.
BLOCKS = (64, 192, 768, 2048)


@jax.jit
def features(params: dict, images: jax.Array) -> dict[int, jax.Array]:
    """Block -> float32 [N, rows, columns, block] of uint8 `images` [N, H, W, 3].

    Small pictures do not have all blocks: their maps are too small for the next layers.
    """
    x = images.astype(jnp.float32) / 127.5 - 1.0
    x = convolution(params["conv"], x, 2, "VALID")
    x = convolution(params["conv_1"], x, padding="VALID")
    found = [convolution(params["conv_2"], x)]
    if _shortest_side(found[0]) >= 7:
        x = convolution(params["conv_3"], _halve(found[0]))
        found.append(convolution(params["conv_4"], x, padding="VALID"))
        if _shortest_side(found[1]) >= 7:
            x = _mixed(params["mixed"], _halve(found[1]))
            for index in range(1, 8):
                x = _mixed(params[f"mixed_{index}"], x)
            found.append(x)
            if _shortest_side(x) >= 3:
                x = _mixed(params["mixed_9"], _mixed(params["mixed_8"], x))
                found.append(_mixed(params["mixed_10"], x, pool=_max_around))
    return dict(zip(BLOCKS, found, strict=False))


def _shortest_side(x: jax.Array) -> int:
    return min(x.shape[1:3])


def _mixed(block: dict, x: jax.Array, pool=None) -> jax.Array:
    """One of the blocks Mixed_5b to Mixed_7c: its branches, told by the names of their layers, side by side.

    A block keeps the size of the map if it has a branch "tower_2", which begins with `pool` (means by default).
    Without one it halves the map. Branches of the last two blocks fork at their end ("mixed_conv").
    """
    keeps_size = "tower_2_conv" in block
    found = []
    for branch in ("", "tower_", "tower_1_"):
        if f"{branch}conv" in block:
            end = _chain(block, branch, x, 1 if keeps_size else 2)
            forks = [block[name] for name in (f"{branch}mixed_conv", f"{branch}mixed_conv_1") if name in block]
            found += [convolution(fork, end) for fork in forks] or [end]
    found.append(_chain(block, "tower_2_", (pool or _mean_around)(x)) if keeps_size else _halve(x))
    return jnp.concatenate(found, axis=-1)


def _chain(block: dict, branch: str, x: jax.Array, stride: int = 1) -> jax.Array:
    """The convolutions of a branch, one after the other. Only the last one has the stride."""
    names = [f"{branch}conv", *(f"{branch}conv_{index}" for index in range(1, 5))]
    *first, last = [block[name] for name in names if name in block]
    for layer in first:
        x = convolution(layer, x)
    return convolution(last, x, stride, "SAME" if stride == 1 else "VALID")


def _halve(x: jax.Array) -> jax.Array:
    return nn.max_pool(x, (3, 3), (2, 2))


def _mean_around(x: jax.Array) -> jax.Array:
    return nn.avg_pool(x, (3, 3), padding="SAME", count_include_pad=False)


def _max_around(x: jax.Array) -> jax.Array:
    return nn.max_pool(x, (3, 3), padding="SAME")
