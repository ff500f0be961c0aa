"""Soft masks against closed forms and against masks that the original implementations softened."""

import golden
import numpy as np
import pytest

from siv_jax.apply.feather import feathered

# How each system's files name the mask at the picture's size, and what follows the name of a softened one.
_NAMES = {"singan": "inject/mask_", "consingan": "mask/"}
_RADII = {"dilated_harmonization": 7, "dilated_editing": 20}


def _softened(system: str) -> list[tuple[str, str]]:
    """File and array of every softened mask of a system that there is."""
    prefix = _NAMES[system]
    found = []
    for name in golden.names(lambda name, _: system in name.split("_")):
        with np.load(golden.FOLDER / f"{name}.npz") as arrays:
            found += [(name, key) for key in _RADII if prefix + "resized" in arrays and prefix + key in arrays]
    return found


def _check(system: str, name: str, key: str) -> None:
    arrays = golden.Arrays(name)
    resized = arrays[_NAMES[system] + "resized"][0, 0]
    marked = np.clip((resized + 1) / 2 * 255, 0, 255).astype(np.uint8)  # as the files say it: any nonzero counts
    ours = feathered(marked, _RADII[key])
    np.testing.assert_allclose(ours, arrays[_NAMES[system] + key][0, 0], atol=2e-6, rtol=0)


@pytest.mark.parametrize(("name", "key"), _softened("singan"))
def test_golden_singan_masks(name, key):
    _check("singan", name, key)


@pytest.mark.parametrize(("name", "key"), _softened("consingan"))
def test_golden_consingan_masks(name, key):
    _check("consingan", name, key)


@pytest.mark.parametrize("value", [0, 1])
@pytest.mark.parametrize("kind", [bool, np.uint8])
def test_a_mask_of_nothing_or_everything_stays_as_it_is(value, kind):
    soft = feathered(np.full((12, 17), value, kind), radius=3)
    assert soft.dtype == np.float32
    np.testing.assert_array_equal(soft, np.full((12, 17), value, np.float32))


def test_a_mask_that_grows_over_everything_is_one_throughout():
    mask = np.zeros((20, 20), bool)
    mask[10, 10] = True
    np.testing.assert_array_equal(feathered(mask, radius=20), np.ones((20, 20), np.float32))


def test_without_blur_the_mask_grows_by_a_disk():
    mask = np.zeros((41, 61), np.uint8)
    mask[20, 30] = 1
    rows, columns = np.mgrid[:41, :61]
    inside = (rows - 20) ** 2 + (columns - 30) ** 2 <= 7**2
    np.testing.assert_array_equal(feathered(mask, radius=7, sigma=1e-6), inside.astype(np.float32))


def test_any_value_but_zero_is_marked():
    mask = np.zeros((40, 50), np.uint8)
    mask[10:20, 10:30] = 1
    np.testing.assert_array_equal(feathered(mask, 7), feathered(mask * 255, 7))
    np.testing.assert_array_equal(feathered(mask, 7), feathered(mask > 0, 7))


def test_the_edge_falls_from_one_to_zero_with_the_mirrored_mask_mirrored():
    mask = np.zeros((80, 120), np.uint8)
    mask[30:50, 40:60] = 1
    soft = feathered(mask, radius=7)
    assert soft.min() == 0.0 and soft.max() == 1.0
    assert np.all(np.diff(soft[40, 50:]) <= 1e-6)
    np.testing.assert_allclose(feathered(mask[:, ::-1], radius=7), soft[:, ::-1], atol=1e-6)
