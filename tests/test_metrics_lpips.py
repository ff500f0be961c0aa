import numpy as np
import pytest
from cached_weights import load
from PIL import Image

from siv_jax.metrics import lpips
from siv_jax.metrics.network_weights import LPIPS_FORMS


@pytest.fixture(scope="module")
def examples(shared) -> np.ndarray:
    """The reference picture and the two that it is compared with."""
    names = ("ex_ref.png", "ex_p0.png", "ex_p1.png")
    return np.stack([np.asarray(Image.open(shared / "data" / "lpips" / name).convert("RGB")) for name in names])


@pytest.mark.parametrize(
    ("form", "expected"),
    [("alex", (0.7219, 0.1376)), ("alex01", (0.7253, 0.1354)), ("vgg", (0.5686, 0.4217))],
)
def test_published_distances(examples, form, expected):
    """AlexNet's are published with the examples, alex01's stand in metrics.md; VGG's were made here."""
    vectors = lpips.vectors(form, load(LPIPS_FORMS[form]), examples)
    found = lpips.distances(vectors, vectors)
    np.testing.assert_allclose(found[0, 1:], expected, atol=1e-3 if form != "alex" else 1e-4)
    np.testing.assert_array_equal(np.diag(found), 0)
    np.testing.assert_allclose(found, found.T, atol=1e-6)


def test_a_batch_gives_what_single_pictures_give(examples):
    params = load("alex")
    images = np.concatenate([examples, examples[:, ::-1], examples[:, :, ::-1]])
    together = lpips.vectors("alex", params, images)
    for image, vector in zip(images, together, strict=True):
        np.testing.assert_allclose(lpips.vectors("alex", params, image[None])[0], vector, atol=1e-5)


def test_vectors_spell_out_the_formula(examples):
    """d = sum over layers of the spatial mean of sum_c w_c (a_c - b_c)^2 of unit features, in float64."""
    params = load("alex")
    x = examples[:2].astype(np.float32) / 127.5 - 1
    x = (x - np.float32([-0.030, -0.088, -0.188])) / np.float32([0.458, 0.448, 0.450])
    total = 0.0
    for index, feature in enumerate(lpips._alex(params, x)):
        feature = np.asarray(feature, np.float64)
        unit = feature / (np.sqrt((feature**2).sum(-1, keepdims=True)) + 1e-10)
        total += (params[f"head_{index}"] * (unit[0] - unit[1]) ** 2).sum(-1).mean()
    vectors = lpips.vectors("alex", params, examples)
    assert total == pytest.approx(lpips.distances(vectors, vectors)[0, 1], abs=1e-5)


def test_distances_against_differences():
    rng = np.random.default_rng(0)
    first, second = rng.random((5, 1000), np.float32), rng.random((7, 1000), np.float32)
    second[3], second[4] = first[2], first[2] + np.float32(1e-5)
    found = lpips.distances(first, second)
    exact = ((first[:, None].astype(np.float64) - second) ** 2).sum(-1)
    np.testing.assert_allclose(found, exact, rtol=1e-4)
    assert found[2, 3] == 0 and 0 < found[2, 4] < 1e-6
