"""The use that OSMIS was made for: a segmentation network from one labelled frame, with and without generated pairs.

    python -m siv_jax.main frame.jpg --config masks --config.data.mask frame_mask.png --workdir runs/one
    python examples/segmentation.py --workdir runs/one --frames frames/ --masks masks/

Two small U-Nets of the same start learn for as many steps: one from the run's own frame under standard augmentation
(flips, shifts, crops, rotations), one from batches of which half are rendered samples with their masks, under the same
augmentation. Both are measured by the mean IoU on the frames and masks that are named, without the run's own frame.
"""

import argparse
import json
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

import siv_jax
from siv_jax.cli import process
from siv_jax.config import DataConfig
from siv_jax.data import open_source
from siv_jax.data.masks import UNLABELLED
from siv_jax.metrics.masks import mean_iou
from siv_jax.nn import image_augment
from siv_jax.sampling import rendering
from siv_jax.workdir import layout

BATCH, PROBABILITY, RATE = 8, 0.5, 1e-3


class UNet(nn.Module):
    """Images float32 [B, H, W, C] -> logits [B, H, W, num_classes]; two levels, for sides of 16 pixels and more."""

    num_classes: int
    width: int = 16

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kept = []
        for level in range(3):
            if level:
                kept.append(x)
                x = nn.max_pool(x, (2, 2), (2, 2), "SAME")
            x = self._pair(x, self.width << level)
        for level in (1, 0):
            fine = kept[level]
            x = jax.image.resize(x, (*fine.shape[:3], x.shape[-1]), "nearest")
            x = self._pair(jnp.concatenate([x, fine], -1), self.width << level)
        return nn.Conv(self.num_classes, (1, 1))(x)

    def _pair(self, x: jax.Array, features: int) -> jax.Array:
        for _ in range(2):
            x = nn.relu(nn.GroupNorm(4)(nn.Conv(features, (3, 3))(x)))
        return x


def trained(net: UNet, params, steps: int, seed: int, real, generated=None):
    """Parameters after training on pairs (images [N, H, W, C], masks [N, H, W]), half of a batch being generated."""
    optimizer = optax.adam(RATE)

    def loss(params, images, masks):
        logits = net.apply(params, images)
        counted = masks != UNLABELLED
        each = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.where(counted, masks, 0))
        return jnp.sum(each * counted) / jnp.maximum(jnp.sum(counted), 1)

    @jax.jit
    def step(params, state, images, masks, uniform):
        maps = image_augment.draw(uniform, PROBABILITY, *images.shape[1:3])
        seen = image_augment.warp(images, maps)
        # The nearest label: a warp of each class, and the largest of them.
        classes = (masks[..., None] == jnp.array([*range(net.num_classes), UNLABELLED])).astype(jnp.float32)
        found = jnp.argmax(image_augment.warp(classes, maps), -1)
        found = jnp.where(found == net.num_classes, UNLABELLED, found)
        gradients = jax.grad(loss)(params, seen, found)
        updates, state = optimizer.update(gradients, state, params)
        return optax.apply_updates(params, updates), state

    rng, state = np.random.default_rng(seed), optimizer.init(params)
    for _ in range(steps):
        sources = [real] * BATCH if generated is None else [real, generated] * (BATCH // 2)
        chosen = [rng.integers(len(images)) for images, _ in sources]
        images = np.stack([images[i] for (images, _), i in zip(sources, chosen, strict=True)])
        masks = np.stack([masks[i] for (_, masks), i in zip(sources, chosen, strict=True)]).astype(np.int32)
        uniform = rng.random((BATCH, image_augment.UNIFORMS), np.float32)
        params, state = step(params, state, images, masks, uniform)
    return params


def measured(net: UNet, params, images: np.ndarray, masks: np.ndarray) -> float:
    """Mean IoU over pairs."""
    predict = jax.jit(lambda images: jnp.argmax(net.apply(params, images), -1))
    found = [np.asarray(predict(image[None]))[0] for image in images]
    return float(np.mean([mean_iou(one, wanted, net.num_classes) for one, wanted in zip(found, masks, strict=True)]))


def pairs_of(source, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Images float32 [N, height, width, C] in [-1, 1] and labels uint8 [N, height, width]."""
    frames = source.resized(height, width)
    images = source.format.from_source(frames) if frames.dtype == np.uint8 else frames
    return images, source.masks.resized(height, width).labels


def main() -> None:
    """Runs both trainings for every seed and prints the mean IoU of each as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workdir", type=Path, required=True, help="of a run with masks")
    parser.add_argument("--frames", required=True, help="folder of frames to measure on")
    parser.add_argument("--masks", required=True, help="folder of their masks")
    parser.add_argument("--longest", type=int, default=128, help="longer side of all pictures, in pixels (128)")
    parser.add_argument("--pairs", type=int, default=100, help="generated pairs (100)")
    parser.add_argument("--steps", type=int, default=500, help="of each training (500)")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each kind (3)")
    given = parser.parse_args()
    process.prepare_jax()
    model, source = siv_jax.load(given.workdir), layout.load_source(given.workdir)
    height, width = rendering.shrunk_size(source.size, given.longest)
    rendered = list(model.rendered(given.pairs, size=f"{width}x{height}"))
    generated = [np.concatenate(arrays) for arrays in zip(*rendered, strict=True)]
    real = pairs_of(source, height, width)
    images, masks = pairs_of(open_source(DataConfig(path=given.frames, mask=given.masks)), height, width)
    others = [not (image == real[0]).all(axis=(1, 2, 3)).any() for image in images]
    images, masks = images[others], masks[others]
    net, results = UNet(source.masks.format.num_classes), {"one frame": [], "one frame and generated pairs": []}
    with jax.numpy_dtype_promotion("standard"):
        for seed in range(given.seeds):
            start = net.init(jax.random.key(seed), real[0][:1])
            for name, extra in zip(results, (None, generated), strict=True):
                params = trained(net, start, given.steps, seed, real, extra)
                results[name].append(round(measured(net, params, images, masks), 4))
    print(json.dumps({"mean IoU": results, "frames": len(images), "size": [width, height], "steps": given.steps}))


if __name__ == "__main__":
    main()
