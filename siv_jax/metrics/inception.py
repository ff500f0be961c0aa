"""The Inception network of FID (2015-12-05) as features at four depths (metrics.md).

Batch normalisation is already folded into the kernels and biases (`siv_jax.weights`).
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

# Feature channels of the four blocks, which name them: before the first and the second max pool, Mixed_6e,
# and the last one.
BLOCKS = (64, 192, 768, 2048)

_ONE, _THREE, _FIVE = (1, 1), (3, 3), (5, 5)
_ROW_7, _COLUMN_7, _ROW_3, _COLUMN_3 = (1, 7), (7, 1), (1, 3), (3, 1)


def positions(height: int, width: int) -> dict[int, tuple[int, int]]:
    """Block -> (rows, columns) of its map, for the blocks that pictures of this size have."""
    sizes = [_sides(height), _sides(width)]
    return {
        block: (rows, columns) for block, rows, columns in zip(BLOCKS, *sizes, strict=True) if rows > 0 and columns > 0
    }


def _sides(side: int) -> list[int]:
    def halved(length: int) -> int:
        return (length - 3) // 2 + 1

    first = halved(side) - 2
    second = halved(first) - 2
    third = halved(halved(second))
    return [first, second, third, halved(third)]


@jax.jit
def features(params: dict, images: jax.Array) -> dict[int, jax.Array]:
    """Block -> float32 [N, rows, columns, block] of uint8 `images` [N, H, W, 3].

    Blocks that the size does not have are left out.
    """
    depth = len(positions(*images.shape[1:3]))
    x = images.astype(jnp.float32) / 127.5 - 1.0
    found = Inception(depth).apply({"params": params}, x)
    return dict(zip(BLOCKS, found, strict=False))


class Inception(nn.Module):
    """The first `depth` of the four blocks."""

    depth: int

    @nn.compact
    def __call__(self, x: jax.Array) -> list[jax.Array]:
        x = _conv(x, "conv", 32, _THREE, stride=2)
        x = _conv(x, "conv_1", 32, _THREE, padding="VALID")
        x = _conv(x, "conv_2", 64, _THREE)
        found = [x]
        if self.depth > 1:
            x = _conv(_halve(x), "conv_3", 80, _ONE)
            x = _conv(x, "conv_4", 192, _THREE, padding="VALID")
            found.append(x)
        if self.depth > 2:
            x = _halve(x)
            for name, pooled in [("mixed", 32), ("mixed_1", 64), ("mixed_2", 64)]:
                x = BlockA(pooled, name=name)(x)
            x = BlockB(name="mixed_3")(x)
            for name, inner in [("mixed_4", 128), ("mixed_5", 160), ("mixed_6", 160), ("mixed_7", 192)]:
                x = BlockC(inner, name=name)(x)
            found.append(x)
        if self.depth > 3:
            x = BlockD(name="mixed_8")(x)
            x = BlockE(_mean_around, name="mixed_9")(x)
            x = BlockE(_max_around, name="mixed_10")(x)
            found.append(x)
        return found


class BlockA(nn.Module):
    """Mixed_5b to 5d."""

    pooled: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        first = _conv(x, "conv", 64, _ONE)
        second = _chain(x, "tower", [(48, _ONE), (64, _FIVE)])
        third = _chain(x, "tower_1", [(64, _ONE), (96, _THREE), (96, _THREE)])
        fourth = _chain(_mean_around(x), "tower_2", [(self.pooled, _ONE)])
        return jnp.concatenate([first, second, third, fourth], axis=-1)


class BlockB(nn.Module):
    """Mixed_6a, which halves the map."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        first = _conv(x, "conv", 384, _THREE, stride=2)
        second = _chain(x, "tower", [(64, _ONE), (96, _THREE), (96, _THREE)], stride=2)
        return jnp.concatenate([first, second, _halve(x)], axis=-1)


class BlockC(nn.Module):
    """Mixed_6b to 6e."""

    inner: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        inner = self.inner
        first = _conv(x, "conv", 192, _ONE)
        second = _chain(x, "tower", [(inner, _ONE), (inner, _ROW_7), (192, _COLUMN_7)])
        third = _chain(
            x,
            "tower_1",
            [(inner, _ONE), (inner, _COLUMN_7), (inner, _ROW_7), (inner, _COLUMN_7), (192, _ROW_7)],
        )
        fourth = _chain(_mean_around(x), "tower_2", [(192, _ONE)])
        return jnp.concatenate([first, second, third, fourth], axis=-1)


class BlockD(nn.Module):
    """Mixed_7a, which halves the map."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        first = _chain(x, "tower", [(192, _ONE), (320, _THREE)], stride=2)
        second = _chain(x, "tower_1", [(192, _ONE), (192, _ROW_7), (192, _COLUMN_7), (192, _THREE)], stride=2)
        return jnp.concatenate([first, second, _halve(x)], axis=-1)


class BlockE(nn.Module):
    """Mixed_7b and 7c, which differ in the pooling of the last branch."""

    pool: Callable

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        first = _conv(x, "conv", 320, _ONE)
        second = _conv(x, "tower_conv", 384, _ONE)
        third = _conv(_conv(x, "tower_1_conv", 448, _ONE), "tower_1_conv_1", 384, _THREE)
        fork = [
            _conv(branch, f"{name}_mixed_conv{suffix}", 384, kernel)
            for name, branch in [("tower", second), ("tower_1", third)]
            for suffix, kernel in [("", _ROW_3), ("_1", _COLUMN_3)]
        ]
        last = _conv(self.pool(x), "tower_2_conv", 192, _ONE)
        return jnp.concatenate([first, *fork, last], axis=-1)


def _conv(x, name: str, channels: int, kernel: tuple, stride: int = 1, padding: str = "SAME") -> jax.Array:
    padding = "VALID" if stride == 2 else padding
    return nn.relu(nn.Conv(channels, kernel, stride, padding=padding, name=name)(x))


def _chain(x, name: str, layers: list[tuple], stride: int = 1) -> jax.Array:
    """Convolutions (channels, kernel) one after the other; the last one has the stride."""
    for index, (channels, kernel) in enumerate(layers):
        suffix = f"_{index}" if index else ""
        last = index == len(layers) - 1
        x = _conv(x, f"{name}_conv{suffix}", channels, kernel, stride if last else 1)
    return x


def _halve(x: jax.Array) -> jax.Array:
    return nn.max_pool(x, _THREE, (2, 2))


def _mean_around(x: jax.Array) -> jax.Array:
    return nn.avg_pool(x, _THREE, padding="SAME", count_include_pad=False)


def _max_around(x: jax.Array) -> jax.Array:
    return nn.max_pool(x, _THREE, padding="SAME")
