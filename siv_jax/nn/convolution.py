"""The convolutions of the networks: alone, after nearest x2 upsampling, before 2x2 average pooling, at half the places.

Pictures are NHWC, kernels HWIO (3x3 or 1x1 unless said), float32 or bfloat16, both of one dtype; zero padding keeps the
size unless said; there is no bias. Each operation has three forms that compute the same function:

    plain   as the name says, gradients by autodiff: the reference of the tests
    fused   less arithmetic (see each function), gradients by autodiff
    direct  as fused, with gradients that are ordinary convolutions (direct.py)

`chosen_form` decides, while a function is traced; a compiled function is traced anew where the form is forced.
"""

import contextlib
from collections.abc import Iterator

import jax
import jax.numpy as jnp

from siv_jax.nn import direct

FORMS = ("plain", "fused", "direct")
# On a CPU autodiff's gradients are slow (benchmarks/convolution.py); elsewhere they are the libraries' own.
CPU_FORM, OTHER_FORM = "direct", "fused"
# A context that JAX knows of, so that no program compiled for one form serves another.
_forced = jax.make_user_context(default_value=None)


def chosen_form() -> str:
    """The form in use: one forced by `forced_form`, else that of JAX's default backend."""
    return _forced.value or (CPU_FORM if jax.default_backend() == "cpu" else OTHER_FORM)


@contextlib.contextmanager
def forced_form(form: str) -> Iterator[None]:
    """Everything traced inside uses `form`. ValueError for an unknown one."""
    if form not in FORMS:
        raise ValueError(f"unknown form {form!r}: choose from {', '.join(FORMS)}")
    with _forced(form):
        yield


def conv2d(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """x (B, H, W, I) by kernel (k, k, I, O), k 1 or 3: (B, H, W, O). A 1x1 kernel is a matrix product."""
    if kernel.shape[:2] == (1, 1):
        return x @ kernel[0, 0]
    return (direct.same if chosen_form() == "direct" else direct.same_plainly)(x, kernel)


def conv2d_valid(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """x (B, H, W, I) by kernel (k, k, I, O), no padding: (B, H - k + 1, W - k + 1, O). Any number of derivatives."""
    if kernel.shape[:2] == (1, 1):
        return conv2d(x, kernel)
    return (direct.valid if chosen_form() == "direct" else direct.valid_plainly)(x, kernel)


def conv2d_valid_halve(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """x (B, H, W, I) by kernel (3, 3, I, O) at every other place, no padding: (B, (H - 1) // 2, (W - 1) // 2, O)."""
    return (direct.valid_halve if chosen_form() == "direct" else direct.valid_halve_plainly)(x, kernel)


def upsample_conv2d(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """conv2d(upsample2d(x), kernel): (B, H, W, I) to (B, 2H, 2W, O).

    Every pixel of the result sees 2x2 different pixels of x, each by the sum of the taps that fall on it: four
    2x2 kernels, one for each parity of row and column, 4/9 of the multiplications. A 1x1 kernel is applied
    before the upsampling: a quarter.
    """
    if kernel.shape[:2] == (1, 1):
        return upsample2d(conv2d(x, kernel))
    form = chosen_form()
    if form == "plain":
        return conv2d(upsample2d(x), kernel)
    return (direct.double if form == "direct" else direct.double_plainly)(x, _widened(kernel))


def conv2d_pool(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """avg_pool2d(conv2d(x, kernel)): (B, H, W, I) to (B, max(H // 2, 1), max(W // 2, 1), O).

    The mean of 2x2 neighbours is one 4x4 kernel at every other place: 4/9 of the multiplications. A 1x1 kernel
    is applied after the pooling: a quarter. A side of 1 is not pooled, so there the plain form is taken.
    """
    if kernel.shape[:2] == (1, 1):
        return conv2d(avg_pool2d(x), kernel)
    form = chosen_form()
    if form == "plain" or 1 in x.shape[1:3]:
        return avg_pool2d(conv2d(x, kernel))
    mean = _widened(kernel) * jnp.asarray(0.25, kernel.dtype)
    return (direct.halve if form == "direct" else direct.halve_plainly)(x, mean)


def halving_conv2d(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """A 4x4 kernel (4, 4, I, O) at every other place, one zero around x: (B, H, W, I) to (B, H // 2, W // 2, O)."""
    return (direct.halve if chosen_form() == "direct" else direct.halve_plainly)(x, kernel)


def small_conv2d(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Where the kernel (h, w, I, O) lies inside x: (B, H, W, I) to (B, H - h + 1, W - w + 1, O).

    As one matrix product, for maps hardly larger than the kernel: its gradients are matrix products, too.
    """
    rows, columns, inputs, outputs = kernel.shape
    height, width = x.shape[1] - rows + 1, x.shape[2] - columns + 1
    seen = [x[:, i : i + height, j : j + width] for i in range(rows) for j in range(columns)]
    return jnp.concatenate(seen, axis=-1) @ kernel.reshape(rows * columns * inputs, outputs)


def avg_pool2d(x: jax.Array) -> jax.Array:
    """Means of 2x2 pixels: (B, H, W, C) to (B, max(H // 2, 1), max(W // 2, 1), C).

    The last row or column of an odd side is left out; a side of 1 stays. Slices are summed, which XLA joins
    with what comes before and after, forward and backward.
    """
    rows, columns = (min(side, 2) for side in x.shape[1:3])
    height, width = x.shape[1] // rows * rows, x.shape[2] // columns * columns
    parts = [x[:, i:height:rows, j:width:columns] for i in range(rows) for j in range(columns)]
    return sum(parts[1:], parts[0]) * jnp.asarray(1 / len(parts), x.dtype)


def max_pool2d(x: jax.Array) -> jax.Array:
    """Maxima of 2x2 pixels: (B, H, W, C) to (B, H // 2, W // 2, C); the last row or column of an odd side is left out.

    Slices, because the gradient of a window reduction is slow on a CPU.
    """
    height, width = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    rows = jnp.maximum(x[:, 0:height:2], x[:, 1:height:2])
    return jnp.maximum(rows[:, :, 0:width:2], rows[:, :, 1:width:2])


def padded(x: jax.Array, border: int) -> jax.Array:
    """With a border of zeros: (B, H, W, C) to (B, H + 2 border, W + 2 border, C)."""
    return jnp.pad(x, ((0, 0), (border, border), (border, border), (0, 0)))


def upsample2d(x: jax.Array) -> jax.Array:
    """Every pixel twice in both directions: (B, H, W, C) to (B, 2H, 2W, C)."""
    batch, height, width, channels = x.shape
    grid = jnp.broadcast_to(x[:, :, None, :, None], (batch, height, 2, width, 2, channels))
    return grid.reshape(batch, 2 * height, 2 * width, channels)


def _widened(kernel: jax.Array) -> jax.Array:
    """The sum of the 3x3 kernel and its copies one down, one to the right, and both: 4x4."""
    for axis in (0, 1):
        first, middle, last = jnp.split(kernel, 3, axis)
        kernel = jnp.concatenate([first, first + middle, middle + last, last], axis)
    return kernel
