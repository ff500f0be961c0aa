"""Samples come back in the picture's own proportions, whatever the plan made of them."""

import dataclasses

import numpy as np
import pytest

from siv_jax.config import from_dict
from siv_jax.errors import UserError
from siv_jax.models import registry
from siv_jax.models.interface import Samples
from siv_jax.nn.two_branch.plan import make_plan
from siv_jax.sampling.drawer import Drawer, require_finite, sample_size


@dataclasses.dataclass(frozen=True)
class Plan:
    height: int
    width: int
    channels: int = 3


class Halves:
    """Images whose left half is -1 and whose right half is 1, masks whose upper half is 0 and whose lower half is 7."""

    def draw(self, weights, noise):
        images = np.ones((len(noise), 64, 64, 3), np.float32)
        images[:, :, :32] = -1
        masks = np.zeros((len(noise), 64, 64), np.int32)
        masks[:, 32:] = 7
        return Samples(images, masks)


@pytest.mark.parametrize("size", [(250, 188), (1000, 1000), (100, 400), (1080, 1920), (333, 1000)])
@pytest.mark.parametrize("max_size", [32, 96, 330, 480])
def test_no_picture_is_distorted(size, max_size):
    model = from_dict({}).model
    assert model.name == registry.DEFAULT
    plan = make_plan(*size, 3, max_size, model)
    height, width = sample_size(plan, size)
    assert height / width == pytest.approx(size[0] / size[1], rel=0.06)
    assert max(height, width) == max(plan.height, plan.width)


def test_a_plan_that_fits_is_left_as_it_is_and_an_unknown_picture_too():
    assert sample_size(Plan(48, 64), (188, 250)) == (48, 64)
    assert sample_size(Plan(128, 320), (110, 330)) == (107, 320)
    assert sample_size(Plan(128, 320), (0, 0)) == (128, 320)


def test_images_and_masks_are_brought_back():
    images, masks = Drawer(Halves(), Plan(64, 64), (100, 200))({}, np.zeros((3, 2), np.float32))
    assert images.shape == (3, 32, 64, 3) and masks.shape == (3, 32, 64)
    np.testing.assert_array_equal(images[..., :31, :], -1)
    np.testing.assert_array_equal(images[..., 33:, :], 1)
    assert set(np.unique(masks)) == {0, 7} and (masks[:, :16] == 0).all() and (masks[:, 16:] == 7).all()
    same = Drawer(Halves(), Plan(64, 64), (100, 100))({}, np.zeros((3, 2), np.float32))
    np.testing.assert_array_equal(same.images, Halves().draw({}, np.zeros((3, 2))).images)


def test_latents_that_give_no_picture_are_named():
    class Overflowing(Halves):
        def draw(self, weights, noise):
            return Samples(noise[:, :1, None, None] * np.ones((64, 64, 3), np.float32) * np.float32(1e5))

    drawer, noise = Drawer(Overflowing(), Plan(64, 64)), np.array([[0, 0], [1, 0], [1e38, 0]], np.float32)
    require_finite(drawer({}, noise[:2]))
    with pytest.raises(UserError, match="latent number 12 gives no picture"):
        require_finite(drawer({}, noise), start=10)
