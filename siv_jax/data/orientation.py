"""The eight ways in which a stored picture is turned or mirrored before it is shown."""

from PIL import Image

EXIF_TAG = 0x0112

# EXIF orientation -> the transpose that shows the picture upright; 1 and unknown values leave it as it is.
_TRANSPOSES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """`image` turned as the EXIF value `orientation` says."""
    if orientation not in _TRANSPOSES:
        return image
    return image.transpose(_TRANSPOSES[orientation])


def upright_size(height: int, width: int, orientation: int) -> tuple[int, int]:
    """(height, width) of `upright`."""
    return (width, height) if orientation in (5, 6, 7, 8) else (height, width)
