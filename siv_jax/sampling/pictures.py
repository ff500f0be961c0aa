"""Images as files to look at: grids, single pictures, animations."""

from pathlib import Path

import numpy as np
from PIL import Image

from siv_jax.data.pixel_format import PICTURE
from siv_jax.workdir.layout import write_atomically

# How much of a mask's colour its overlay shows.
_TINT = 0.55
_GAP = 2  # pixels between the pictures of a grid


def to_uint8(images: np.ndarray) -> np.ndarray:
    """float32 in [-1, 1] to uint8 0..255, rounded as in the files of samples; any shape."""
    return PICTURE.to_source(images)


def viewable(images: np.ndarray) -> np.ndarray:
    """uint8 [..., C] with any C as [..., 3]: one channel as gray, of others the first three (the third may be 0)."""
    channels = images.shape[-1]
    if channels == 1:
        return np.repeat(images, 3, axis=-1)
    if channels == 2:
        return np.concatenate([images, np.zeros_like(images[..., :1])], axis=-1)
    return images[..., :3]


def with_overlays(images: np.ndarray, labels: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """uint8 [N, H, 2 W + 2, 3]: each picture beside itself under its mask.

    Args:
      images: uint8 [N, H, W, C], any C.
      labels: integers [N, H, W] from 0, the background, which stays as it is, to 255.
      colours: uint8 [256, 3] of the labels.
    """
    images = viewable(images)
    tint = colours[labels].astype(np.float32)
    covered = np.rint((1 - _TINT) * images + _TINT * tint).astype(np.uint8)
    covered = np.where(labels[..., None] == 0, images, covered)
    gap = np.full((*images.shape[:2], 2, 3), 255, np.uint8)
    return np.concatenate([images, gap, covered], axis=2)


def grid(images: np.ndarray) -> np.ndarray:
    """uint8 [N, H, W, C] side by side as one uint8 picture [h, w, 3] of about 3:2, white between them."""
    count, height, width, _ = images.shape
    columns = max(1, min(count, round((count * height / width * 1.5) ** 0.5)))
    rows = -(-count // columns)
    size = rows * (height + _GAP) + _GAP, columns * (width + _GAP) + _GAP
    sheet = np.full((*size, 3), 255, np.uint8)
    for i, image in enumerate(viewable(images)):
        top, left = _GAP + i // columns * (height + _GAP), _GAP + i % columns * (width + _GAP)
        sheet[top : top + height, left : left + width] = image
    return sheet


def pictures_of_grid(sheet: np.ndarray, height: int, width: int) -> np.ndarray:
    """The pictures [N, height, width, 3] of such a grid, and white ones where its last row is not full."""
    rows, columns = (sheet.shape[0] - _GAP) // (height + _GAP), (sheet.shape[1] - _GAP) // (width + _GAP)
    cells = sheet[_GAP : _GAP + rows * (height + _GAP), _GAP : _GAP + columns * (width + _GAP)]
    cells = cells.reshape(rows, height + _GAP, columns, width + _GAP, 3)[:, :height, :, :width]
    return cells.swapaxes(1, 2).reshape(-1, height, width, 3)


def save_png(path: Path, image: np.ndarray) -> None:
    """Writes uint8 [H, W, 3] or [H, W, 1] as PNG; the file is complete or absent."""
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    write_atomically(path, lambda file: picture.save(file, format="PNG"))


def save_gif(path: Path, frames: np.ndarray, frames_per_second: int) -> None:
    """Writes uint8 frames [n, H, W, 3] as an endless GIF."""
    first, *rest = [Image.fromarray(frame) for frame in frames]
    settings = {"save_all": True, "append_images": rest, "duration": 1000 / frames_per_second, "loop": 0}
    write_atomically(path, lambda file: first.save(file, format="GIF", **settings))


def save_mp4(path: Path, frames: np.ndarray, frames_per_second: int) -> None:
    """Writes uint8 frames [n, H, W, 3] as H.264; an odd last row or column is repeated, since it takes none."""
    import av

    height, width = frames.shape[1:3]
    frames = np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")

    def encode(file):
        with av.open(file, "w", format="mp4") as container:
            stream = container.add_stream("libx264", rate=frames_per_second)
            stream.height, stream.width = frames.shape[1:3]
            stream.pix_fmt = "yuv420p"
            stream.options = {"crf": "18"}
            for frame in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode())

    write_atomically(path, encode)
