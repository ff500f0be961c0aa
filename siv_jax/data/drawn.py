"""Pictures that the package draws itself, so that a first run needs no file: example:balloons and example:clip."""

import numpy as np
from PIL import Image, ImageDraw

from siv_jax.config import DataConfig
from siv_jax.data.notes import Notes
from siv_jax.data.pixel_format import PICTURE
from siv_jax.data.selection import select
from siv_jax.data.source import Source
from siv_jax.errors import UserError

PREFIX = "example:"

HEIGHT, WIDTH = 192, 256  # of the clip's frames
SCALE = 2  # of the picture beside them
CLIP_FRAMES = 60
_OVERSAMPLING = 2

# Place of each balloon as shares of the width and height, its size as a share of the width, and its stripes.
_BALLOONS = (
    (0.14, 0.24, 0.150, (205, 52, 44)),
    (0.37, 0.44, 0.115, (238, 164, 38)),
    (0.55, 0.17, 0.130, (205, 52, 44)),
    (0.73, 0.42, 0.150, (238, 164, 38)),
    (0.91, 0.18, 0.105, (205, 52, 44)),
)
# Of the masks, by a balloon's first colour.
_LABELS = {(205, 52, 44): 1, (238, 164, 38): 2}
PALETTE = (0, 0, 0, 205, 52, 44, 238, 164, 38)


def draw_balloons(time: float = 0.0, scale: int = SCALE) -> np.ndarray:
    """uint8 [192 scale, 256 scale, 3]: striped balloons in a cloudy sky over a meadow with rows of crops.

    `time` from 0 to 1 moves the balloons along their ways, as `draw_clip` does.
    """
    width, height = WIDTH * scale * _OVERSAMPLING, HEIGHT * scale * _OVERSAMPLING
    picture = Image.fromarray(_background(height, width))
    _all_balloons(ImageDraw.Draw(picture), height, width, time)
    return np.asarray(picture.resize((WIDTH * scale, HEIGHT * scale), Image.Resampling.BOX))


def draw_masks(name: str) -> np.ndarray:
    """uint8 [N, H, W] for example:balloons or example:clip: 0 background, 1 red balloons, 2 yellow ones.

    Raises UserError: there is no such example.
    """
    times, scale = {"balloons": ([0.0], SCALE), "clip": (np.arange(CLIP_FRAMES) / CLIP_FRAMES, 1)}.get(
        name.removeprefix(PREFIX), ((), 1)
    )
    if not len(times):
        raise UserError(f"there is no {name}: the drawn examples are example:balloons and example:clip")
    masks = []
    for time in times:
        mask = Image.new("L", (WIDTH * scale * _OVERSAMPLING, HEIGHT * scale * _OVERSAMPLING))
        _all_balloons(ImageDraw.Draw(mask), mask.height, mask.width, time, labels=True)
        masks.append(np.asarray(mask)[_OVERSAMPLING // 2 :: _OVERSAMPLING, _OVERSAMPLING // 2 :: _OVERSAMPLING])
    return np.stack(masks)


def draw_clip() -> np.ndarray:
    """uint8 [60, 192, 256, 3]: the balloons drifting, some to the left and some to the right."""
    return np.stack([draw_balloons(i / CLIP_FRAMES, scale=1) for i in range(CLIP_FRAMES)])


def _background(height: int, width: int) -> np.ndarray:
    """Sky with soft clouds above, a meadow with slanting rows below, each with its own texture."""
    rng = np.random.Generator(np.random.Philox(7))
    y, x = np.mgrid[0:height, 0:width] / height
    horizon = 0.70 + 0.03 * np.sin(x * 5.0)
    clouds = _smooth_noise(rng, height, width, 9) * 0.65 + _smooth_noise(rng, height, width, 24) * 0.35
    cloudy = np.clip((clouds - 0.52) * 5.0, 0.0, 1.0)[..., None]
    sky = np.array([92, 152, 214]) + (y[..., None] / 0.7) * np.array([70, 48, 20])
    sky = sky * (1 - cloudy) + np.array([240, 243, 246]) * cloudy
    depth = np.clip((y - horizon) / 0.3, 0.0, 1.0)
    rows = np.sin((x + 0.4 * depth) * (60 - 22 * depth)) > 0.0
    grass = np.where(rows[..., None], np.array([72, 128, 52]), np.array([118, 160, 62]))
    grass = grass + (_smooth_noise(rng, height, width, 70)[..., None] - 0.5) * 70.0
    return np.clip(np.where((y < horizon)[..., None], sky, grass), 0, 255).astype(np.uint8)


def _smooth_noise(rng: np.random.Generator, height: int, width: int, cells: int) -> np.ndarray:
    """float [height, width] in 0..1 that changes over about height / cells pixels."""
    coarse = rng.random((cells, cells * width // height), np.float32)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)).clip(0, 1)


def _all_balloons(pen: ImageDraw.ImageDraw, height: int, width: int, time: float, labels: bool = False) -> None:
    """Every balloon at its place, in its colours or as the label of its first colour."""
    for i, (x, y, size, colour) in enumerate(_BALLOONS):
        drift = time * (0.25 if i % 2 else -0.2)
        rise = 0.06 * np.sin(2 * np.pi * (time + i / len(_BALLOONS))) if time else 0.0
        label = _LABELS[colour] if labels else None
        _balloon(pen, ((x + drift) % 1.0) * width, (y + rise) * height, size * width, colour, label)


def _balloon(
    pen: ImageDraw.ImageDraw, x: float, y: float, size: float, colour: tuple[int, int, int], label: int | None
) -> None:
    """A striped envelope of diameter `size` around (x, y) with a basket below; all of it `label`, if there is one."""

    def tone(own: tuple[int, int, int]) -> tuple[int, int, int] | int:
        return own if label is None else label

    half, thick = size / 2, max(3, round(size / 35))
    for line in (-0.28, 0.28):
        pen.line((x + line * size, y + 0.35 * size, x + line * 0.35 * size, y + 0.82 * size), tone((70, 60, 50)), thick)
    pen.polygon((x - 0.42 * size, y + 0.24 * size, x + 0.42 * size, y + 0.24 * size, x, y + 0.78 * size), tone(colour))
    for share, fill in ((1.0, colour), (0.62, (250, 240, 222)), (0.26, colour)):
        pen.ellipse((x - half * share, y - half, x + half * share, y + half), tone(fill))
    basket = (x - 0.12 * size, y + 0.74 * size, x + 0.12 * size, y + 0.92 * size)
    pen.rectangle(basket, tone((112, 74, 40)))


def drawn_source(data: DataConfig, notes: Notes) -> Source:
    """The drawn picture or clip that `data.path` names. Raises UserError: there is no such example."""
    draw = {"balloons": lambda: draw_balloons()[None], "clip": draw_clip}.get(data.path.removeprefix(PREFIX))
    if draw is None:
        raise UserError(f"there is no {data.path}: the drawn examples are example:balloons and example:clip")
    frames = draw()
    chosen = frames[select(data.path, len(frames), data, notes)]
    return Source(data.path, len(frames), len(chosen), chosen.shape[1:3], 3, PICTURE, lambda: iter(chosen), notes)
