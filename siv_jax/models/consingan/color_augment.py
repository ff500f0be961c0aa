"""Changes a picture's colours and cuts holes into it, for the training of harmonization.

As the paper's code means it: there float pictures of 0 to 255 pass a library that clips them to 0 to 1, so that a tenth
of them turn black. Here they are clipped to 0 to 255.
"""

import jax
import jax.numpy as jnp
import numpy as np

UNIFORMS = 32
_COLOR, _CUTOUT = 0.25, 0.9  # probabilities of a change of colours, and of holes
# Kinds of changes with their weights; hue and sepia are of RGB alone.
_WEIGHTS = {
    "multiply": 0.5 * 0.2 / 1.2,
    "gray_noise": 0.5 * 0.5 / 1.2,
    "color_noise": 0.5 * 0.5 / 1.2,
    "invert": 0.25,
    "sepia": 0.25,
    "drop": 0.25,
    "shuffle": 0.25,
    "hue": 0.1,
}
_SEPIA = np.array([[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]], np.float32)
_HOLES = ((30, 60), (15, 30))  # sides of a single hole, and of two


def augment(uniform: jax.Array, normal: jax.Array, picture: jax.Array) -> jax.Array:
    """picture [H, W, C] in [-1, 1], changed; from uniform [UNIFORMS] in [0, 1) and normal [H, W, C]."""
    levels = (picture + 1) * 127.5
    channels = picture.shape[-1]
    kinds = [kind for kind in _WEIGHTS if channels == 3 or kind not in ("sepia", "hue")]
    ends = np.cumsum([_WEIGHTS[kind] for kind in kinds])
    chosen = jnp.searchsorted(jnp.asarray(ends[:-1] / ends[-1], jnp.float32), uniform[1], side="right")
    changed = jax.lax.switch(chosen, [CHANGES[kind] for kind in kinds], uniform[2:14], normal, levels)
    levels = jnp.where(uniform[0] < _COLOR, jnp.clip(changed, 0, 255), levels)
    holed = cutout(uniform[15:], levels)
    return jnp.where(uniform[14] < _CUTOUT, holed, levels) / 127.5 - 1


def cutout(uniform: jax.Array, levels: jax.Array) -> jax.Array:
    """levels [H, W, C] with one hole or two smaller ones of one random colour; uniform [15] in [0, 1).

    A hole reaches half its side, rounded down, from its centre each way.
    """
    height, width, channels = levels.shape
    two = (uniform[0] >= 0.5).astype(jnp.int32)
    least, greatest = (jnp.array(bound, jnp.int32)[two] for bound in zip(*_HOLES, strict=True))
    reach = (least + jnp.floor(uniform[1:3] * (greatest - least + 1).astype(jnp.float32)).astype(jnp.int32)) // 2
    color = jnp.minimum(jnp.floor(257 * jnp.resize(uniform[3:6], channels)), 255)
    sides = jnp.array([height, width], jnp.float32)
    rows, columns = jnp.arange(height)[:, None], jnp.arange(width)[None, :]
    inside = jnp.zeros((height, width), bool)
    for hole in range(2):
        row, column = jnp.floor(uniform[6 + 2 * hole : 8 + 2 * hole] * (sides + 1)).astype(jnp.int32)
        here = (rows >= row - reach[0]) & (rows < row + reach[0])
        here &= (columns >= column - reach[1]) & (columns < column + reach[1])
        inside |= here & (hole <= two)
    return jnp.where(inside[..., None], color, levels)


def rgb_to_hsv(rgb: jax.Array) -> jax.Array:
    """[..., 3] of 0 to 255: hue 0 to 180 (of 8-bit pictures), saturation and value 0 to 255."""
    red, green, blue = jnp.moveaxis(rgb, -1, 0)
    value, span = jnp.max(rgb, -1), jnp.max(rgb, -1) - jnp.min(rgb, -1)
    safe = jnp.where(span > 0, span, 1)
    sixth = jnp.where(
        value == red,
        (green - blue) / safe,
        jnp.where(value == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    saturation = jnp.where(value > 0, 255 * span / jnp.where(value > 0, value, 1), 0)
    return jnp.stack([jnp.mod(30 * sixth, 180), saturation, value], -1)


def hsv_to_rgb(hsv: jax.Array) -> jax.Array:
    """The inverse of `rgb_to_hsv`."""
    hue, saturation, value = jnp.moveaxis(hsv, -1, 0)
    place = jnp.mod(jnp.array([5.0, 3.0, 1.0]) + hue[..., None] / 30, 6)
    share = jnp.clip(jnp.minimum(place, 4 - place), 0, 1)
    return value[..., None] * (1 - saturation[..., None] / 255 * share)


# Each takes uniform [12], normal [H, W, C] and levels [H, W, C] of 0 to 255; what leaves this range is clipped after.


def _multiply(uniform, normal, levels):
    # A uniform number for each value, made of the normal ones.
    return levels * (0.5 + jax.scipy.special.ndtr(normal))


def _gray_noise(uniform, normal, levels):
    return levels + 255 * (0.01 + 0.04 * uniform[0]) * normal[..., :1]


def _color_noise(uniform, normal, levels):
    return levels + jnp.sqrt(10 + 40 * uniform[0]) * normal


def _invert(uniform, normal, levels):
    return 255 - levels


def _sepia(uniform, normal, levels):
    return jnp.einsum("hwc,dc->hwd", levels, _SEPIA, precision=jax.lax.Precision.HIGHEST)


def _drop(uniform, normal, levels):
    channels = levels.shape[-1]
    dropped = jnp.floor(uniform[0] * channels).astype(jnp.int32)
    return jnp.where(jnp.arange(channels) == dropped, 0, levels)


def _shuffle(uniform, normal, levels):
    return levels[..., jnp.argsort(uniform[: levels.shape[-1]])]


def _hue(uniform, normal, levels):
    moved = rgb_to_hsv(levels) + jnp.array([20.0, 30.0, 20.0]) * (2 * uniform[:3] - 1)
    return hsv_to_rgb(jnp.concatenate([jnp.mod(moved[..., :1], 180), jnp.clip(moved[..., 1:], 0, 255)], -1))


CHANGES = {
    "multiply": _multiply,
    "gray_noise": _gray_noise,
    "color_noise": _color_noise,
    "invert": _invert,
    "sepia": _sepia,
    "drop": _drop,
    "shuffle": _shuffle,
    "hue": _hue,
}
