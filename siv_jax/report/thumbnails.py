"""Pictures as data: URIs."""

import base64
import io

import numpy as np
from PIL import Image

# Colours of the diversity map from low to high, evenly spaced.
_RAMP = np.array([(20, 11, 52), (87, 16, 110), (165, 44, 96), (225, 100, 48), (251, 177, 28), (252, 255, 164)])


def thumbnail(image: np.ndarray, longest: int) -> str:
    """uint8 [H, W, 3] as JPEG, its longer side brought down to `longest` pixels."""
    picture = Image.fromarray(image)
    picture.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    return _uri(picture, "JPEG", quality=85)


def heat_map(values: np.ndarray, highest: float) -> str:
    """[H, W] from 0 (dark) to `highest` (bright) as PNG."""
    place = np.clip(values / max(highest, 1e-9), 0, 1) * (len(_RAMP) - 1)
    channels = [np.interp(place, np.arange(len(_RAMP)), _RAMP[:, c]) for c in range(3)]
    return _uri(Image.fromarray(np.rint(np.stack(channels, axis=-1)).astype(np.uint8)), "PNG")


def ramp() -> str:
    """The heat map's colours as a CSS gradient."""
    return f"linear-gradient(to right, {', '.join(f'rgb({r},{g},{b})' for r, g, b in _RAMP)})"


def _uri(picture: Image.Image, file_format: str, **options) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, format=file_format, **options)
    return f"data:image/{file_format.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
