import io

import jax
import numpy as np
import pytest
import scipy.linalg
from cached_weights import load
from PIL import Image, ImageFilter

from siv_jax.metrics import inception, sifid


def rows(count: int, dim: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((count, dim)) @ rng.standard_normal((dim, dim)) + rng.standard_normal(dim)


def by_square_roots(first: np.ndarray, second: np.ndarray) -> float:
    """The textbook formula, through the matrix square root."""
    c1, c2 = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    shift = ((first.mean(0) - second.mean(0)) ** 2).sum()
    return shift + np.trace(c1 + c2 - 2 * scipy.linalg.sqrtm(c1 @ c2).real)


def by_eigenvalues(first: np.ndarray, second: np.ndarray) -> float:
    """The symmetric form, which also holds for singular covariances: Tr (C1^1/2 C2 C1^1/2)^1/2."""
    c1, c2 = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    values, vectors = np.linalg.eigh(c1)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    overlap = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ c2 @ root), 0)).sum()
    return ((first.mean(0) - second.mean(0)) ** 2).sum() + np.trace(c1 + c2) - 2 * overlap


@pytest.mark.parametrize(("count", "other"), [(500, 300), (40, 900)])
def test_frechet_against_square_roots(count, other):
    first, second = rows(count, 12, 1), rows(other, 12, 2)
    found = sifid.frechet(sifid.moments(first), sifid.moments(second))
    assert found == pytest.approx(by_square_roots(first, second), rel=1e-6)


def test_frechet_of_singular_covariances():
    first, second = rows(30, 80, 3), rows(25, 80, 4)
    found = sifid.frechet(sifid.moments(first), sifid.moments(second))
    assert found == pytest.approx(by_eigenvalues(first, second), rel=1e-5)
    assert sifid.moments(first).root.shape == (30, 80)


def test_frechet_closed_forms():
    first = rows(200, 6, 5)
    moments = sifid.moments(first)
    assert sifid.frechet(moments, moments) == pytest.approx(0, abs=1e-9)
    assert sifid.frechet(moments, sifid.moments(first + 2.0)) == pytest.approx(6 * 4.0)
    # Scaling the deviations by 3 moves every standard deviation s to 3 s: sum of (2 s)^2.
    scaled = (first - first.mean(0)) * 3 + first.mean(0)
    expected = 4 * np.trace(np.cov(first, rowvar=False))
    assert sifid.frechet(moments, sifid.moments(scaled)) == pytest.approx(expected)


@pytest.mark.parametrize("dim", [5, 60])
def test_union_is_the_moments_of_all_rows(dim):
    parts = [rows(count, dim, count) for count in (7, 40, 23)]
    found = sifid.union([sifid.moments(part) for part in parts])
    everything = np.concatenate(parts)
    assert found.count == 70
    np.testing.assert_allclose(found.mean, everything.mean(0))
    np.testing.assert_allclose(found.root.T @ found.root, np.cov(everything, rowvar=False), atol=1e-10)


def maps(height: int, width: int) -> dict[int, tuple[int, int]]:
    """Block -> rows and columns of its map."""
    images = jax.ShapeDtypeStruct((1, height, width, 3), np.uint8)
    found = jax.eval_shape(inception.features, load("inception"), images)
    assert all(one.shape[3] == block for block, one in found.items())
    return {block: one.shape[1:3] for block, one in found.items()}


def test_maps():
    assert maps(188, 250) == {64: (91, 122), 192: (43, 58), 768: (10, 13), 2048: (4, 6)}
    assert maps(64, 64) == {64: (29, 29), 192: (12, 12), 768: (2, 2)}
    assert maps(75, 75)[2048] == (1, 1) and 2048 not in maps(74, 200)
    assert maps(43, 43)[768] == (1, 1) and 768 not in maps(42, 80)
    assert list(maps(31, 31)) == [64, 192]


def test_small_pictures_have_fewer_blocks():
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    found = sifid.features(load("inception"), images)
    assert list(found.moments) == [64, 192, 768] and found.pooled.shape == (2, 0)
    assert "pooled" not in sifid.set_fid(found, found)


def jpeg(image: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80, subsampling=2)
    return Image.open(buffer).convert("RGB")


def altered(image: Image.Image, other: Image.Image) -> dict[str, Image.Image]:
    width, height = image.size
    noise = np.random.default_rng(0).normal(0, 5, (height, width, 3))
    box = (0.05 * width, 0.05 * height, 0.95 * width, 0.95 * height)
    return {
        "itself": image,
        "flip": image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        "crop": image.resize(image.size, Image.Resampling.BICUBIC, box=box),
        "blur": image.filter(ImageFilter.GaussianBlur(1)),
        "noise": Image.fromarray(np.clip(np.rint(image + noise), 0, 255).astype(np.uint8)),
        "other": other,
    }


# SIFID of a photo against its altered copy at 64-d and 768-d (metrics.md).
YARDSTICKS = {
    "flip": (0.40, 15.2),
    "crop": (0.42, 12.2),
    "blur": (6.3, 10.9),
    "noise": (0.18, 5.3),
    "other": (13.1, 47.1),
}


def test_yardsticks(shared):
    """The published yardsticks lie within two standard deviations of those of the ten Places pictures."""
    photos = [Image.open(path).convert("RGB") for path in sorted((shared / "data" / "places").glob("*.jpg"))]
    photos = [photo.crop((0, 0, 250, 167)) for photo in photos]
    found: dict[str, list] = {}
    for photo, other in zip(photos, photos[1:] + photos[:1], strict=True):
        pictures = altered(photo, other)
        features = sifid.features(load("inception"), np.stack([np.asarray(p) for p in pictures.values()]))
        of_photo = sifid.Features({block: of[:1] for block, of in features.moments.items()}, features.pooled[:1])
        values = sifid.sifid(features, of_photo)
        for row, name in enumerate(pictures):
            found.setdefault(name, []).append((values[64][row, 0], values[768][row, 0]))
    np.testing.assert_allclose(found.pop("itself"), 0, atol=1e-9)
    assert len(photos) == 10
    for name, expected in YARDSTICKS.items():
        mean, sd = np.mean(found[name], axis=0), np.std(found[name], axis=0, ddof=1)
        assert (np.abs(mean - expected) < 2 * sd).all(), (name, mean, sd, expected)


def test_jpeg_yardstick(shared):
    """.216 and 4.9, on scaled frames: the Places pictures are JPEG already and hardly change."""
    paths = [
        shared / "data" / "image" / "bmx.jpg",
        *(shared / "data" / "video" / "bus" / f"000{n}.jpg" for n in ("00", "25", "50")),
    ]
    found = []
    for path in paths:
        frame = Image.open(path).convert("RGB").resize((250, 188), Image.Resampling.LANCZOS)
        features = sifid.features(load("inception"), np.stack([np.asarray(frame), np.asarray(jpeg(frame))]))
        found.append([sifid.frechet(*features.moments[block]) for block in (64, 768)])
    mean, sd = np.mean(found, axis=0), np.std(found, axis=0, ddof=1)
    assert (np.abs(mean - (0.216, 4.9)) < 2 * sd).all(), (mean, sd)
