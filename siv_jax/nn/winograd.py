"""3x3 convolutions with half the multiplications: Winograd's F(4, 3) along each row (Lavin and Gray, 2015, 1509.09308).

Four neighbouring outputs of three taps are six products where the plain sum has twelve,

    outputs = OUTPUTS @ ((KERNELS @ taps) * (INPUTS @ the six values that they see)),

and the gradients by the input and by the kernel are computed in the same way. The three rows of a kernel are summed as
in any convolution, so that the work stays one matrix product for each of the six. In float32 a result differs from the
plain sum's by 1e-6 of their spread on average, and by 2e-5 at most.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

TILE = 4  # outputs computed together
INPUTS = np.array(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]
)
KERNELS = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / 24
OUTPUTS = np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]])
PRODUCTS = len(INPUTS)

# Channels come in such groups: fewer gain nothing, and with 5 of them, in float64, XLA's CPU backend of jax 0.10.2
# was seen to compute other sums than those asked for. Convolutions of fewer multiplications a tap gain less than what
# their longer program costs to compile.
CHANNELS, MULTIPLICATIONS = 32, 2**22
# Rows of a picture that `correlated` had best be given at once: their values stay in a core's caches.
ROWS = 32


def pays(x: jax.Array, side: int, outputs: int) -> bool:
    """Whether a convolution of x (B, H, W, I) by kernels of `side` rows to `outputs` channels had best be done here."""
    fits = side == 3 and x.shape[-1] % CHANNELS == 0 == outputs % CHANNELS
    return fits and x.size * outputs >= MULTIPLICATIONS and x.dtype.itemsize >= 4


def valid(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """x (B, H, W, I) by kernel (3, 3, I, O), no padding: (B, H - 2, W - 2, O)."""
    width = x.shape[2] - 2
    values = _values(x, width)
    taps = [kernel[:, column] for column in range(3)]
    products = [
        _by_column(_combined(row, values), _combined(weights, taps))
        for row, weights in zip(INPUTS, KERNELS, strict=True)
    ]
    tiles = jnp.stack([_combined(row, products) for row in OUTPUTS], axis=3)
    return tiles.reshape(*tiles.shape[:2], TILE * tiles.shape[2], kernel.shape[-1])[:, :, :width]


def correlated(x: jax.Array, window: jax.Array) -> jax.Array:
    """Sums over samples b and places p of x[b, p + k, i] window[b, p, o]: (3, 3, I, O).

    x (B, H, W, I), window (B, H - 2, W - 2, O), of few rows: all that comes in between is in memory.
    """
    width, inputs, outputs = window.shape[2], x.shape[-1], window.shape[-1]
    values = _values(x, width)
    tiles = -(-width // TILE)
    window = jnp.pad(window, ((0, 0), (0, 0), (0, TILE * tiles - width), (0, 0)))
    window = window.reshape(*window.shape[:2], tiles, TILE, outputs)
    cotangents = [window[:, :, :, place] for place in range(TILE)]

    def product(row, weights):
        seen = _combined(row, values)
        rows_of_taps = jnp.concatenate([seen[:, :-2], seen[:, 1:-1], seen[:, 2:]], axis=-1).reshape(-1, 3 * inputs)
        return lax.dot_general(
            _combined(weights, cotangents).reshape(-1, outputs), rows_of_taps, (((0,), (0,)), ((), ()))
        )

    products = [product(row, weights) for row, weights in zip(INPUTS, OUTPUTS.T, strict=True)]
    columns = jnp.stack([_combined(weights, products) for weights in KERNELS.T])
    return columns.reshape(3, outputs, 3, inputs).transpose(2, 0, 3, 1)


def _values(x: jax.Array, width: int) -> list[jax.Array]:
    """What the tiles of a row's `width` outputs see at each of their six places: (B, H, tiles, I) each."""
    tiles = -(-width // TILE)
    x = jnp.pad(x, ((0, 0), (0, 0), (0, TILE * (tiles + 1) - x.shape[2]), (0, 0)))
    x = x.reshape(*x.shape[:2], tiles + 1, TILE, x.shape[-1])
    return [x[:, :, place // TILE :, place % TILE][:, :, :tiles] for place in range(PRODUCTS)]


def _by_column(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """x (B, H, W, I) by kernel (3, I, O), over rows: (B, H - 2, W, O). A row more, cut again, is faster on a CPU."""
    padding, layout = ((0, 1), (0, 0)), ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, kernel[:, None], (1, 1), padding, dimension_numbers=layout)[:, :-1]


def _combined(weights: np.ndarray, arrays: list[jax.Array]) -> jax.Array:
    """The sum of the arrays, each by its weight, without those of weight 0."""
    terms = [array * float(weight) for weight, array in zip(weights, arrays, strict=True) if weight]
    return sum(terms[1:], terms[0])
