"""The use that OSMIS was made for: a segmentation network from one labelled frame, with and without generated pairs.

    pip install torch monai
    python -m siv_jax.main frame.jpg --config masks --config.data.mask frame_mask.png --workdir runs/one
    python examples/segmentation.py --workdir runs/one --frames frames/ --masks masks/

Two small U-Nets of MONAI, of the same start, learn for as many steps: one from the run's own frame under standard
augmentation (flips, shifts, crops, rotations), one from batches of which half are rendered samples with their masks,
under the same augmentation. Both are measured by the mean IoU on the frames and masks that are named, without the run's
own frame. PyTorch and MONAI are for this example alone: siv_jax does not ask for them.
"""

import argparse
import functools
import json

import jax
import jax.numpy as jnp
import numpy as np

import siv_jax
from siv_jax.cli import process
from siv_jax.config import DataConfig
from siv_jax.data import open_source
from siv_jax.data.masks import UNLABELLED
from siv_jax.data.resize import limited
from siv_jax.errors import UserError
from siv_jax.metrics.masks import mean_iou
from siv_jax.nn import image_augment
from siv_jax.sampling import rendering
from siv_jax.workdir import kept_input

try:
    import torch
    from monai.networks.nets import BasicUNet
except ImportError as error:
    MISSING = f"the example's network is MONAI's, on PyTorch: pip install torch monai ({error})"
else:
    MISSING = ""

BATCH, PROBABILITY, RATE = 8, 0.5, 1e-3
FEATURES = (16, 16, 32, 64, 128, 16)  # of its five levels and its last layer: half of MONAI's default, for a CPU
SMALLEST = 16  # of a side, which the network halves four times
MAX = 10**6  # of any number that is asked for


def network(channels: int, num_classes: int, seed: int) -> "BasicUNet":
    """Images [B, channels, H, W] -> logits [B, num_classes, H, W], for sides from SMALLEST on."""
    torch.manual_seed(seed)
    # Batches are small, and at the lowest level a picture may have one pixel left: groups can be normalized even so.
    return BasicUNet(2, channels, num_classes, FEATURES, norm=("group", {"num_groups": 4}))


@functools.partial(jax.jit, static_argnums=3)
def augmented(images: jax.Array, masks: jax.Array, uniform: jax.Array, num_classes: int) -> tuple[jax.Array, jax.Array]:
    """Images [B, H, W, C] and masks [B, H, W] seen through the same random maps."""
    maps = image_augment.draw(uniform, PROBABILITY, *images.shape[1:3])
    # The nearest label: a warp of each class, and the largest of them.
    classes = (masks[..., None] == jnp.array([*range(num_classes), UNLABELLED])).astype(jnp.float32)
    found = jnp.argmax(image_augment.warp(classes, maps), -1)
    return image_augment.warp(images, maps), jnp.where(found == num_classes, UNLABELLED, found)


def tensors(images: np.ndarray) -> "torch.Tensor":
    """Images [B, H, W, C] as float32 [B, C, H, W]."""
    return torch.from_numpy(np.array(images)).permute(0, 3, 1, 2)


def trained(net: "BasicUNet", num_classes: int, steps: int, seed: int, real, generated=None) -> "BasicUNet":
    """`net` after training on pairs (images [N, H, W, C], masks [N, H, W]), half of a batch being generated."""
    optimizer, rng = torch.optim.Adam(net.parameters(), RATE), np.random.default_rng(seed)
    sources = [real] * BATCH if generated is None else [real, generated] * (BATCH // 2)
    net.train()
    for _ in range(steps):
        chosen = [rng.integers(len(images)) for images, _ in sources]
        images = np.stack([images[i] for (images, _), i in zip(sources, chosen, strict=True)])
        masks = np.stack([masks[i] for (_, masks), i in zip(sources, chosen, strict=True)]).astype(np.int32)
        uniform = rng.random((BATCH, image_augment.UNIFORMS), np.float32)
        seen, wanted = augmented(images, masks, uniform, num_classes)
        labels = torch.from_numpy(np.array(wanted)).long()
        total = torch.nn.functional.cross_entropy(net(tensors(seen)), labels, ignore_index=UNLABELLED, reduction="sum")
        optimizer.zero_grad()
        (total / (labels != UNLABELLED).sum().clamp(min=1)).backward()
        optimizer.step()
    return net


def measured(net: "BasicUNet", images: np.ndarray, masks: np.ndarray, num_classes: int) -> float:
    """Mean IoU over pairs."""
    net.eval()
    with torch.no_grad():
        found = [net(tensors(image[None])).argmax(1)[0].numpy() for image in images]
    return float(np.mean([mean_iou(one, wanted, num_classes) for one, wanted in zip(found, masks, strict=True)]))


def pairs_of(source, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Images float32 [N, height, width, C] in [-1, 1] and labels uint8 [N, height, width]."""
    images = rendering.as_float(source.resized(height, width), source.format)
    return images, source.masks.resized(height, width).labels


def compared(given: argparse.Namespace) -> dict:
    """The mean IoU of both trainings for every seed, and what they were measured on."""
    model, source = siv_jax.load(given.workdir), kept_input.load(given.workdir)
    if source.masks is None:
        raise UserError(f"{given.workdir} is no run with masks: train one with --config masks")
    height, width = limited(source.size, given.longest)
    if min(height, width) < SMALLEST:
        raise UserError(f"pictures of {width}x{height}: the network needs {SMALLEST} pixels a side, raise --longest")
    rendered = list(model.rendered(given.pairs, size=f"{width}x{height}"))
    generated = [np.concatenate(arrays) for arrays in zip(*rendered, strict=True)]
    real, num_classes = pairs_of(source, height, width), source.masks.format.num_classes
    images, masks = pairs_of(open_source(DataConfig(path=given.frames, mask=given.masks)), height, width)
    others = [not (image == real[0]).all(axis=(1, 2, 3)).any() for image in images]
    images, masks = images[others], masks[others]
    if not len(images):
        raise UserError(f"{given.frames} holds no frame but the run's own: there is nothing to measure on")
    results = {"one frame": [], "one frame and generated pairs": []}
    for seed in range(given.seeds):
        for name, extra in zip(results, (None, generated), strict=True):
            net = network(images.shape[-1], num_classes, seed)
            trained(net, num_classes, given.steps, seed, real, extra)
            results[name].append(round(measured(net, images, masks, num_classes), 4))
    return {"mean IoU": results, "frames": len(images), "size": [width, height], "steps": given.steps}


def main(argv: list[str]) -> None:
    """Prints what `compared` finds as JSON."""
    parser = process.Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workdir", type=process.existing_folder, required=True, help="of a run with masks")
    parser.add_argument("--frames", required=True, help="folder of frames to measure on")
    parser.add_argument("--masks", required=True, help="folder of their masks")
    counted = process.whole_number(1, MAX)
    parser.add_argument("--longest", type=counted, default=128, help="longer side of all pictures, in pixels (128)")
    parser.add_argument("--pairs", type=counted, default=100, help="generated pairs (100)")
    parser.add_argument("--steps", type=counted, default=500, help="of each training (500)")
    parser.add_argument("--seeds", type=counted, default=3, help="trainings of each kind (3)")
    given = parser.parse_args(argv)
    if MISSING:
        raise UserError(MISSING)
    process.prepare_jax()
    print(json.dumps(compared(given)))


if __name__ == "__main__":
    process.run(main)
