"""Convolutions whose gradients are ordinary convolutions, for XLA's CPU backend.

That backend computes an NHWC/HWIO convolution as fast as a matrix product. The gradients that autodiff makes of one
(reversed kernels, batch and channels exchanged) are several times slower, and inside a loop hundreds of times. Here
every gradient is again a convolution in the fast layout: the gradient by the input is one of the three, that by the
kernel has the channels as its batch and a stripe of the cotangent as its kernel.

`valid` can be differentiated any number of times, as gradient penalties need: its gradients, and theirs, are `valid`,
`full` and `correlated` again. Where it is differentiated, and its channels are many, all of them are computed as
winograd.py has it; other uses of `valid`, such as drawing samples, are not worth that longer program.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from siv_jax.nn import winograd

# Values of the input and the cotangent in a stripe, which then fits a core's second-level cache (1 MB of float32).
# Matrix products are faster with longer stripes.
STRIPE, STRIPE_OF_PRODUCTS = 2**18, 2**20
# Samples with at most this many positions in all are computed by one convolution, larger ones one after another.
SMALL = 1024
# With at most this many output channels the weight gradient is faster with the input as the kernel.
FEW_CHANNELS = 4


def convolve(x: jax.Array, kernel: jax.Array, padding, strides=(1, 1), **options) -> jax.Array:
    """NHWC by HWIO convolution as XLA has it."""
    layout = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=layout, **options)


def same_plainly(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """x (B, H, W, I) by kernel (3, 3, I, O), zeros around x: (B, H, W, O)."""
    return convolve(x, kernel, ((1, 1), (1, 1)))


def halve_plainly(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """x (B, H, W, I) by kernel (4, 4, I, O), zeros around x, every other place: (B, H // 2, W // 2, O)."""
    return convolve(x, kernel, _surround(x), strides=(2, 2))


def valid_plainly(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """x (B, H, W, I) by kernel (k, k, I, O), no padding: (B, H - k + 1, W - k + 1, O)."""
    return convolve(x, kernel, ((0, 0), (0, 0)))


def valid_halve_plainly(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """x (B, H, W, I) by kernel (3, 3, I, O), no padding, every other place: (B, (H - 1) // 2, (W - 1) // 2, O)."""
    return convolve(x, kernel, ((0, 0), (0, 0)), strides=(2, 2))


def double_plainly(x: jax.Array, kernel: jax.Array, rows: int | None = None, columns: int | None = None):
    """x (B, H, W, I), zeros between its pixels and around it, by kernel (4, 4, I, O): (B, 2H, 2W, O).

    What is a zero depends on the parity of row and column only: four 2x2 kernels, here one with 4 O channels.
    The result reaches 2 rows and columns further than x, from one before its start: `rows`, `columns` of it
    from x's start are kept.
    """
    batch, height, width, inputs = x.shape
    parities = [kernel[row::2, column::2] for row in (1, 0) for column in (1, 0)]
    taps = jnp.stack(parities, axis=3).reshape(2, 2, inputs, -1)
    phases = convolve(x, taps, ((1, 1), (1, 1)))
    grid = phases.reshape(batch, height + 1, width + 1, 2, 2, -1).swapaxes(2, 3)
    whole = grid.reshape(batch, 2 * height + 2, 2 * width + 2, -1)
    return whole[:, 1 : 1 + (rows or 2 * height), 1 : 1 + (columns or 2 * width)]


def _padded_channels(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, jax.Array]:
    missing = 4 - x.shape[-1]
    if missing in (1, 2):
        x = jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, missing)))
        kernel = jnp.pad(kernel, ((0, 0), (0, 0), (0, missing), (0, 0)))
    return x, kernel


def _same_padded_channels(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """As `same_plainly`; channels of images are filled up with zeros to 4, which the CPU reads twice as fast."""
    return same_plainly(*_padded_channels(x, kernel))


def _same_gradients(saved, cotangent):
    x, kernel = saved
    ring = ((1, 1), (1, 1))
    if cotangent.shape[-1] <= FEW_CHANNELS < x.shape[-1]:
        by_kernel = _turned(_correlate(_padded(cotangent, ring), x, 1))
    else:
        by_kernel = _correlate(_padded(x, ring), cotangent, 1)
    return _same_padded_channels(cotangent, _turned(kernel)), by_kernel.astype(kernel.dtype)


def _halve_gradients(saved, cotangent):
    x, kernel = saved
    by_kernel = _correlate(_padded(x, _surround(x)), cotangent, 2)
    by_x = double_plainly(cotangent, _turned(kernel), *x.shape[1:3])
    return by_x, by_kernel.astype(kernel.dtype)


def _double_gradients(saved, cotangent):
    x, kernel = saved
    by_kernel = _turned(_correlate(_padded(cotangent, _surround(cotangent)), x, 2))
    return halve_plainly(cotangent, _turned(kernel)), by_kernel.astype(kernel.dtype)


def _differentiated(function, gradients, again: bool = False, forward=None):
    """`function`(x, kernel) with its two `gradients`((x, kernel), cotangent).

    XLA drops the one that is not needed. Under jax.shard_map JAX's rules for such functions ask for check_vma=False.

    Args:
      again: the gradients will be differentiated, too: the forward pass is the operation itself, whose gradients are
        ours. A network that does not need that is traced a twentieth faster without it.
      forward: another form of `function`, which takes its place where it is differentiated.
    """
    operation = jax.custom_vjp(lambda x, kernel: function(x, kernel))
    forward = forward or (operation if again else function)
    operation.defvjp(lambda x, kernel: (forward(x, kernel), (x, kernel)), gradients)
    return operation


def _valid_padded(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """As `valid_plainly`. Large pictures without any padding take XLA's CPU backend thrice as long: one row is cut.

    Few outputs of 3x3 taps are one matrix product by all taps, whose results are moved to their places and added: a
    tenth of the time.
    """
    if kernel.shape[:2] == (3, 3) and kernel.shape[-1] <= FEW_CHANNELS < x.shape[-1] // 4:
        height, width, inputs = x.shape[1:]
        taps = x.reshape(-1, inputs) @ kernel.transpose(2, 0, 1, 3).reshape(inputs, -1)
        taps = taps.reshape(*x.shape[:3], 3, 3, -1)
        places = [(row, column) for row in range(3) for column in range(3)]
        parts = [taps[:, row : row + height - 2, column : column + width - 2, row, column] for row, column in places]
        return sum(parts[1:], parts[0])
    return convolve(*_padded_channels(x, kernel), ((0, 1), (0, 0)))[:, :-1]


def _valid_in_training(x: jax.Array, kernel: jax.Array) -> jax.Array:
    if winograd.pays(x, kernel.shape[0], kernel.shape[-1]):
        return winograd.valid(x, kernel)
    return _valid_padded(x, kernel)


def _full(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """x (B, H, W, I) by kernel (k, k, I, O), k - 1 rings of zeros around x: (B, H + k - 1, W + k - 1, O)."""
    rings = kernel.shape[0] - 1
    around = ((rings, rings), (rings, rings))
    if winograd.pays(x, kernel.shape[0], kernel.shape[-1]):
        return winograd.valid(_padded(x, around), kernel)
    return convolve(*_padded_channels(x, kernel), around)


def _correlated(x: jax.Array, window: jax.Array) -> jax.Array:
    """x (B, H, W, I), window (B, H - k + 1, W - k + 1, O): float32 (k, k, I, O), see `_correlate`."""
    rings = x.shape[1] - window.shape[1]
    if window.shape[-1] <= FEW_CHANNELS < x.shape[-1]:
        return _turned(_correlate(_padded(window, ((rings, rings), (rings, rings))), x, 1))
    if winograd.pays(x, rings + 1, window.shape[-1]):
        return _in_stripes(winograd.correlated, x, window, -(-window.shape[1] // winograd.ROWS))
    return _correlate(x, window, 1)


def _valid_gradients(saved, cotangent):
    x, kernel = saved
    return full(cotangent, _turned(kernel)), correlated(x, cotangent).astype(kernel.dtype)


def _full_gradients(saved, cotangent):
    x, kernel = saved
    return valid_in_training(cotangent, _turned(kernel)), _turned(correlated(cotangent, x)).astype(kernel.dtype)


def _correlated_gradients(saved, cotangent):
    x, window = saved
    kernel = cotangent.astype(x.dtype)
    return full(window, _turned(kernel)), valid_in_training(x, kernel)


def _valid_halve_gradients(saved, cotangent):
    x, kernel = saved
    used = x[:, : 2 * cotangent.shape[1] + 1, : 2 * cotangent.shape[2] + 1]
    by_kernel = _correlate(used, cotangent, 2)
    # One more place on each side gives `double_plainly`, whose kernels have four taps, room for all of x.
    wide = _padded(cotangent, ((1, 1), (1, 1)))
    taps = jnp.pad(_turned(kernel), ((1, 0), (1, 0), (0, 0), (0, 0)))
    by_x = double_plainly(wide, taps)[:, 1:, 1:]
    return by_x[:, : x.shape[1], : x.shape[2]], by_kernel.astype(kernel.dtype)


same = _differentiated(_same_padded_channels, _same_gradients)
halve = _differentiated(halve_plainly, _halve_gradients)
double = _differentiated(double_plainly, _double_gradients)
valid_in_training = _differentiated(_valid_in_training, _valid_gradients, again=True)
valid = _differentiated(_valid_padded, _valid_gradients, forward=valid_in_training)
full = _differentiated(_full, _full_gradients, again=True)
correlated = _differentiated(_correlated, _correlated_gradients, again=True)
valid_halve = _differentiated(valid_halve_plainly, _valid_halve_gradients)


def _surround(x: jax.Array):
    """A zero before and, where the side is even, one after: an odd side's last pixel only ends a window."""
    return (1, 1 - x.shape[1] % 2), (1, 1 - x.shape[2] % 2)


def _padded(x: jax.Array, padding) -> jax.Array:
    return jnp.pad(x, ((0, 0), *padding, (0, 0)))


def _turned(kernel: jax.Array) -> jax.Array:
    """The kernel of the opposite direction: turned by 180 degrees, inputs and outputs exchanged."""
    return lax.rev(kernel, (0, 1)).swapaxes(2, 3)


def _correlate(x: jax.Array, window: jax.Array, stride: int) -> jax.Array:
    """Sums over samples b and places p of x[b, stride p + k, i] window[b, p, o]: (k rows, k columns, i, o).

    x (B, stride (H - 1) + k, stride (W - 1) + k, I), window (B, H, W, O). At least float32.
    """
    batch, height, width, outputs = window.shape
    inputs = x.shape[-1]
    # Measured (benchmarks/convolution.py): products win where places are skipped and for odd numbers of channels.
    as_products = stride > 1 or (inputs % 32 != 0 and inputs > 16)
    stripe = STRIPE_OF_PRODUCTS if as_products else STRIPE
    positions = max(1, stripe // (stride**2 * inputs + outputs))
    group = max(n for n in range(1, batch + 1) if batch % n == 0 and (n == 1 or n * height * width <= SMALL))
    dtype = _at_least_float32(x)
    sums = functools.partial(_sums_as_products if as_products else _sums_as_convolution, stride=stride, dtype=dtype)
    return _in_stripes(sums, x, window, -(-height * width // positions), group, stride)


def _in_stripes(sums, x: jax.Array, window: jax.Array, stripes: int, group: int = 1, stride: int = 1) -> jax.Array:
    """The sums of `_correlate`, by `sums`(x, window) of one stripe after another in a loop: a short program, too.

    A stripe is a part of the rows of `group` samples, whose rows are cut into `stripes` at most.
    """
    batch, height, width, outputs = window.shape
    rows = -(-height // min(stripes, height))
    stripes = -(-height // rows)
    missing = stripes * rows - height
    reach, columns = (x.shape[axis] - stride * (window.shape[axis] - 1) for axis in (1, 2))
    x = _padded(x, ((0, stride * missing), (0, 0)))
    window = _padded(window, ((0, missing), (0, 0)))
    sizes = (group, stride * (rows - 1) + reach, *x.shape[2:]), (group, rows, width, outputs)

    def add(step, total):
        sample, row = step // stripes * group, step % stripes * rows
        picture = lax.dynamic_slice(x, (sample, stride * row, 0, 0), sizes[0])
        return total + sums(picture, lax.dynamic_slice(window, (sample, row, 0, 0), sizes[1]))

    total = jnp.zeros((reach, columns, x.shape[-1], outputs), _at_least_float32(x))
    return lax.fori_loop(0, batch // group * stripes, add, total)


def _at_least_float32(x: jax.Array) -> jnp.dtype:
    return jnp.float32 if x.dtype.itemsize < 4 else x.dtype


def _sums_as_convolution(x: jax.Array, window: jax.Array, stride: int, dtype: jnp.dtype) -> jax.Array:
    """The sums of `_correlate` for one stripe: channels as batch, the window as kernel, samples as channels."""
    picture, kernel, valid = x.transpose(3, 1, 2, 0), window.transpose(1, 2, 0, 3), ((0, 0), (0, 0))
    sums = convolve(picture, kernel, valid, rhs_dilation=(stride, stride), preferred_element_type=dtype)
    return sums.transpose(1, 2, 0, 3)


def _sums_as_products(x: jax.Array, window: jax.Array, stride: int, dtype: jnp.dtype) -> jax.Array:
    """The same as a matrix product for each place of the kernel."""
    samples, height, width, outputs = window.shape
    flat = window.reshape(-1, outputs)

    def product(row: int, column: int) -> jax.Array:
        last = (samples, row + stride * (height - 1) + 1, column + stride * (width - 1) + 1, x.shape[-1])
        seen = lax.slice(x, (0, row, column, 0), last, (1, stride, stride, 1)).reshape(-1, x.shape[-1])
        return lax.dot_general(seen, flat, (((0,), (0,)), ((), ())), preferred_element_type=dtype)

    rows, columns = x.shape[1] - stride * (height - 1), x.shape[2] - stride * (width - 1)
    return jnp.stack([jnp.stack([product(row, column) for column in range(columns)]) for row in range(rows)])
