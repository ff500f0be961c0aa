"""The frames of a walk: close to the training picture where the model has a way to do that, else between samples."""

from siv_jax.apply import from_patches, injected
from siv_jax.apply.made import Made
from siv_jax.apply.request import DEFAULT_FRAMES, Request
from siv_jax.errors import UserError
from siv_jax.sampling.trained_model import TrainedModel
from siv_jax.sampling.walk import walk

# As the papers' animations; walks between samples as `siv_jax.sample --interpolate`.
_FRAMES_PER_SECOND, _WALK_FRAMES_PER_SECOND = 10, 25
_STRENGTH, _SMOOTHNESS = 0.1, 0.9
_FRAMES_PER_SAMPLE = 30
# Longer side of rendered frames where no size is given: each takes a second or so.
_LONGEST = 512


def animated(model: TrainedModel, request: Request) -> Made:
    """The frames.

    Raises:
      UserError: options that do not go with this model.
    """
    count = request.frames or DEFAULT_FRAMES
    if "animation" in model.tasks:
        return _close_to_the_picture(model, request, count)
    for name in ("start_scale", "strength", "smoothness"):
        if getattr(request, name) is not None:
            raise UserError(
                f"--{name} does not go with this model, which walks between samples: it is for models with a walk "
                "close to the picture"
            )
    anchors = max(2, round(count / _FRAMES_PER_SAMPLE))
    # As many steps between two samples as there are frames, of which every so many are taken.
    z = walk(model.latents(anchors, request.seed or 0), count, range(0, anchors * count, anchors))
    height, width = from_patches.wanted_size(model.source(), request.size, _LONGEST)
    rendered = model.rendered(count, size=f"{width}x{height}", latents=z)
    notes = [f"a closed walk between {anchors} samples, each frame by itself made of the photo's patches"]
    return Made((one.images[0] for one in rendered), count, notes, frames_per_second=_WALK_FRAMES_PER_SECOND)


def _close_to_the_picture(model: TrainedModel, request: Request, count: int) -> Made:
    if request.size is not None:
        raise UserError(
            f"--size does not go with this model's animations, which have its own size, {model.size[1]}x{model.size[0]}"
        )
    start, last = injected.existing_scale(model, request.start_scale or 0), model.num_scales - 1
    strength = _STRENGTH if request.strength is None else request.strength
    smoothness = _SMOOTHNESS if request.smoothness is None else request.smoothness
    images = model.walk(request.seed or 0, count, start, strength, smoothness)
    notes = [f"a walk close to the training picture, in the scales {start} to {last}"]
    return Made(images, count, notes, frames_per_second=_FRAMES_PER_SECOND)
