"""What somebody asks for: a task with its options, checked before anything is opened or computed."""

import dataclasses

import numpy as np

from siv_jax.cli import process
from siv_jax.data.pixel_format import PICTURE
from siv_jax.errors import UserError

DEFAULT_FRAMES = 60


@dataclasses.dataclass(frozen=True)
class Task:
    """needs, takes: names of the fields of a Request beside `task`. what: one line for people."""

    what: str
    needs: frozenset[str]
    takes: frozenset[str]


def _task(what: str, needs: str, takes: str) -> Task:
    return Task(what, frozenset(needs.split()), frozenset(needs.split()) | frozenset(takes.split()))


TASKS = {
    "harmonize": _task("fits a pasted piece into the picture", "image", "mask size start_scale num seed"),
    "edit": _task("smooths over pieces that were moved or copied", "image", "mask size start_scale num seed"),
    "paint": _task("turns a rough painting into a picture", "image", "size start_scale num seed"),
    "super_resolution": _task("enlarges the picture, or another one", "", "image size num seed"),
    "animate": _task("a GIF and an MP4 of a walk", "", "size start_scale frames strength smoothness seed"),
    "retarget": _task("the picture at another size or aspect", "size", "frames num seed"),
}


@dataclasses.dataclass(frozen=True)
class Request:
    """None: not given.

    image: float32 [h, w, C] in [-1, 1] of any size. mask: bool [h, w] of any size in the image's aspect, marks what was
      changed.
    size: "WIDTHxHEIGHT" or factors of the photo's size, see `siv_jax.sampling.rendering.parse_size`; of an animated
      retarget also FROM:TO.
    start_scale: counted from the coarsest. frames: of an animation.
    strength, smoothness: of a walk close to the picture, 0 to 1, see `Sampler.animation`.
    """

    task: str
    image: np.ndarray | None = None
    mask: np.ndarray | None = None
    size: str | None = None
    start_scale: int | None = None
    num: int | None = None
    seed: int | None = None
    frames: int | None = None
    strength: float | None = None
    smoothness: float | None = None


def check(task: str, options: dict[str, object]) -> None:
    """Checks that options, by the names of Request's fields, suit the task; None is an option that was not given.

    Raises:
      UserError: no such task, an option that it needs is missing, one that does not go with it, or out of range.
    """
    if task not in TASKS:
        raise UserError(f"there is no task {task!r}; tasks are {', '.join(TASKS)}")
    given = {name for name, value in options.items() if value is not None}
    for name in sorted(given - {field.name for field in dataclasses.fields(Request)}):
        raise UserError(f"there is no option {name!r}")
    for name in sorted(TASKS[task].needs - given):
        raise UserError(f"--task {task} needs --{name}: {_MISSING[name]}")
    for name in sorted(given - TASKS[task].takes):
        others = ", ".join(other for other, about in TASKS.items() if name in about.takes)
        raise UserError(f"--{name} does not go with --task {task}; it is an option of {others}")
    if task == "retarget" and {"frames", "num"} <= given:
        raise UserError("--num does not go with --frames, which makes one animation")
    for name, lowest, highest in (("num", 1, 10_000), ("seed", 0, 2**32 - 1), ("start_scale", 0, 99)):
        if name in given:
            process.require_whole(name, options[name], lowest, highest)
    if "frames" in given:
        process.require_whole("frames", options["frames"], 2, 10_000)
    for name in ("strength", "smoothness"):
        value = options.get(name)
        if value is not None and not (isinstance(value, int | float | np.floating) and 0 <= value <= 1):
            raise UserError(f"{name} is {value!r}; it must be a number from 0 to 1")


def from_arrays(task: str, image: np.ndarray | None, mask: np.ndarray | None, options: dict[str, object]) -> Request:
    """The checked request of arrays: image [h, w, C] of uint8 or of floats in [-1, 1], mask [h, w], 0 where nothing is.

    Raises:
      UserError: see `check`; or arrays of another kind.
    """
    check(task, {"image": image, "mask": mask, **options})
    if image is not None:
        image = np.asarray(image)
        if image.ndim != 3 or 0 in image.shape or (image.dtype != np.uint8 and image.dtype.kind != "f"):
            raise UserError(f"image is {image.dtype}{list(image.shape)}: give uint8 or floats in [-1, 1], [h, w, C]")
        image = PICTURE.from_source(image) if image.dtype == np.uint8 else np.clip(image, -1, 1).astype(np.float32)
    if mask is not None:
        mask = np.asarray(mask) != 0
        if mask.ndim != 2 or not mask.any():
            raise UserError(f"mask is {list(mask.shape)} and marks {mask.sum()} pixels: give [h, w], not all 0")
    return Request(task, image, mask, **options)


_MISSING = {
    "image": "the edited, collaged or painted picture",
    "size": "WIDTHxHEIGHT such as 500x188, or factors such as 2x (both sides) or 1.5x1.0 (width and height)",
}
