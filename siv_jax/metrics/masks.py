"""How good the masks of samples are: the shares of the classes, and whether image and mask agree.

Agreement is measured without a trained network: each pixel of a sample is given the label that the training masks have
at the centre of the most similar PATCH x PATCH patch of the training images, plain or mirrored. The mean over classes
of the intersection over union (IoU) of these labels and the sample's mask is its agreement.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from siv_jax.data.masks import UNLABELLED, nearest, shares
from siv_jax.data.resize import resize
from siv_jax.data.selection import evenly
from siv_jax.metrics import bootstrap

PATCH = 7
_PIXELS = 4096  # of a picture at most: cost grows with the square
_FRAMES = 8  # training images at most


class MaskSet(NamedTuple):
    """fakes, reals: labels uint8 [N, H, W] and [M, H, W] of samples and of training images; num_classes: of both."""

    fakes: np.ndarray
    reals: np.ndarray
    num_classes: int


class MaskQuality(NamedTuple):
    """Of N samples and C classes.

    agreement, accuracy: [N], mean IoU over the classes that occur, and share of the pixels, between a sample's mask and
    the labels of its most similar patches.
    shares, real_shares: [N, C] and [C], of the labelled pixels.
    """

    agreement: np.ndarray
    accuracy: np.ndarray
    shares: np.ndarray
    real_shares: np.ndarray

    @property
    def share_distance(self) -> float:
        """Total variation, 0 to 1, between the shares of the classes in all samples and in the training masks."""
        return float(np.abs(self.shares.mean(0) - self.real_shares).sum() / 2)


def measure(fakes: np.ndarray, reals: np.ndarray, masks: MaskSet) -> MaskQuality:
    """Quality of the masks of samples uint8 [N, H, W, 3] of a model of training images uint8 [M, H, W, 3]."""
    chosen = evenly(len(reals), _FRAMES)
    scale = min(1.0, (_PIXELS / (fakes.shape[1] * fakes.shape[2])) ** 0.5)
    height, width = (max(PATCH, int(side * scale)) for side in fakes.shape[1:3])
    small = [np.stack([resize(image, height, width) for image in images]) for images in (fakes, reals[chosen])]
    labels = [nearest(of.astype(np.uint8), height, width) for of in (masks.fakes, masks.reals[chosen])]
    known = _patches(np.concatenate([small[1], small[1][:, :, ::-1]]))
    known_labels = np.concatenate([labels[1], labels[1][:, :, ::-1]]).reshape(-1)
    agreement, accuracy = [], []
    for image, mask in zip(small[0], labels[0], strict=True):
        guess = known_labels[np.asarray(_most_similar(_patches(image[None]), known))]
        pair = mask.reshape(-1), guess
        agreement.append(mean_iou(*pair, masks.num_classes))
        accuracy.append(np.mean((pair[0] == guess)[guess != UNLABELLED]))
    of_each = np.stack([shares(mask, masks.num_classes) for mask in masks.fakes])
    return MaskQuality(np.array(agreement), np.array(accuracy), of_each, shares(masks.reals, masks.num_classes))


def mean_iou(labels: np.ndarray, wanted: np.ndarray, num_classes: int) -> float:
    """Mean IoU over the classes that occur in either of two integer arrays; unlabelled pixels do not count."""
    counted = (wanted != UNLABELLED) & (labels != UNLABELLED)
    pairs = labels[counted].astype(np.int64) * num_classes + wanted[counted]
    table = np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)
    both, either = np.diag(table), table.sum(0) + table.sum(1) - np.diag(table)
    return float(np.mean(both[either > 0] / either[either > 0]))


def summary(found: MaskQuality) -> dict[str, tuple[float, bootstrap.Interval]]:
    """The metrics of the record: name -> (value, 95% interval)."""
    return {
        "mask_agreement": (float(found.agreement.mean()), bootstrap.of_mean(found.agreement, 0)),
        "mask_accuracy": (float(found.accuracy.mean()), bootstrap.of_mean(found.accuracy, 0)),
        "mask_share_distance": (found.share_distance, None),
    }


def note(found: MaskQuality) -> str:
    """The share of each class in samples and training masks, for people."""
    pairs = zip(found.shares.mean(0), found.real_shares, strict=True)
    listed = "; ".join(f"{label}: {ours:.1%} ({theirs:.1%})" for label, (ours, theirs) in enumerate(pairs))
    return f"share of each class in the samples (in the training masks): {listed}"


def _patches(images: np.ndarray) -> np.ndarray:
    """float32 [N H W, PATCH^2 3] of uint8 [N, H, W, 3]: the patch around each pixel, mirrored at the edges."""
    reach = PATCH // 2
    framed = np.pad(images, ((0, 0), (reach, reach), (reach, reach), (0, 0)), mode="symmetric")
    seen = np.lib.stride_tricks.sliding_window_view(framed, (PATCH, PATCH), axis=(1, 2))
    return seen.reshape(-1, seen.shape[3] * PATCH**2).astype(np.float32) / 255.0


@jax.jit
def _most_similar(patches: jax.Array, known: jax.Array) -> jax.Array:
    """int32 [n]: of patches [n, d] the nearest of known [m, d]; a stripe at a time."""
    squares = jnp.sum(known * known, axis=1)
    stripes = jnp.pad(patches, ((0, -len(patches) % 256), (0, 0))).reshape(-1, 256, patches.shape[1])
    found = jax.lax.map(lambda some: jnp.argmin(squares - 2 * some @ known.T, axis=1), stripes)
    return found.reshape(-1)[: len(patches)]
