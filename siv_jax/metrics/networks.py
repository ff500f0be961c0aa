"""What the pretrained networks of the metrics share: convolutions made of stored weights, and pictures in batches."""

from collections.abc import Callable, Iterator

import jax
import numpy as np

MOST = 16  # items in a batch
_PIXELS = 200_000  # in a batch of pictures: 4 of 192x256


def convolution(layer: dict, x: jax.Array, stride: int = 1, padding: str | int = "SAME") -> jax.Array:
    """ReLU of the convolution of float32 `x` [N, H, W, C] with the kernel (HWIO) and bias of `layer`."""
    pads = [(padding, padding)] * 2 if isinstance(padding, int) else padding
    axes = ("NHWC", "HWIO", "NHWC")
    found = jax.lax.conv_general_dilated(x, layer["kernel"], (stride, stride), pads, dimension_numbers=axes)
    return jax.nn.relu(found + layer["bias"])


def in_batches(function: Callable, items: np.ndarray, size: int | None = None) -> Iterator:
    """Yields `function` of batches of `items` [N, ...] as numpy arrays.

    The last batch is filled up with copies, so that one compiled program serves all, and cut afterwards.

    Args:
      size: of a batch; None for pictures [N, H, W, C], of which a batch holds about 200,000 pixels.
    """
    size = size or min(max(1, _PIXELS // (items.shape[1] * items.shape[2])), MOST)
    for start in range(0, len(items), size):
        batch = items[start : start + size]
        filled = np.concatenate([batch, np.repeat(batch[-1:], size - len(batch), axis=0)])
        yield jax.tree.map(lambda array, count=len(batch): np.asarray(array)[:count], function(filled))
