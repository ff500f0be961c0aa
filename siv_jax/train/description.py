"""What the plan made of the input, said before training."""

import jax
import numpy as np

from siv_jax.data import Source
from siv_jax.data.masks import UNLABELLED, Masks
from siv_jax.models.interface import Plan
from siv_jax.sampling.drawer import sample_size
from siv_jax.train import devices as devices_lib
from siv_jax.train.task import Task


def of(task: Task, num_devices: int) -> list[str]:
    """What the plan made of the input, for people."""
    source, plan, config = task.source, task.plan, task.config
    is_clip = source.num_frames > 1
    kind = f"{source.num_frames} of {source.frames_found} frames" if is_clip else "1 picture"
    height, width = source.size
    needed = task.family.memory(config, plan, source.num_frames, num_devices)
    return [
        f"input     {source.name}: {kind}, {width}x{height}, {plan.channels} channels",
        *([] if source.masks is None else [_of_masks(source.masks)]),
        f"training  {task.family.title} at {plan.width}x{plan.height} (width x height), "
        f"batch {config.batch_size} on {num_devices} {jax.default_backend()} device(s)",
        *task.family.describe(config, plan, source),
        f"memory    about {needed / 1e6:,.0f} MB of {devices_lib.available_memory() / 1e6:,.0f} MB on each device",
        *_shape_note(plan, source),
        *(f"note      {note}" for note in source.notes.lines()),
        *(["note      samples of a clip are still pictures, not clips"] if is_clip else []),
    ]


def _of_masks(masks: Masks) -> str:
    """Which masks were found, and how much of the pictures each class has."""
    kind = "an object on its background" if masks.format.is_object else f"{masks.format.num_classes} classes"
    shares = ", ".join(f"{label}: {share:.1%}" for label, share in enumerate(masks.shares()))
    rest = float(np.mean(masks.labels == UNLABELLED))
    return f"masks     {masks.name}: {kind} ({shares})" + (f", {rest:.1%} unlabelled" if rest else "")


def _shape_note(plan: Plan, source: Source) -> list[str]:
    height, width = sample_size(plan, source.size)
    if (height, width) == (plan.height, plan.width):
        return []
    return [f"note      samples are brought from {plan.width}x{plan.height} to the picture's shape, {width}x{height}"]
