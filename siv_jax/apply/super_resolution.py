"""The training picture, or with some models any other, at a larger size."""

from siv_jax.apply import enlarge, pictures
from siv_jax.apply.made import Made
from siv_jax.apply.request import Request
from siv_jax.errors import UserError
from siv_jax.sampling.rendering import parse_size
from siv_jax.sampling.trained_model import TrainedModel

_FACTOR = "2x"


def enlarged(model: TrainedModel, request: Request) -> Made:
    """Pictures at `request.size`, twice as large where it is None.

    A model trained for super-resolution enlarges `request.image`, or the training picture at the model's size. For
    others the photo at its full size gets the detail of its own patches.

    Raises:
      UserError: a size that is not larger, or options that do not go with this model.
    """
    source = model.source()
    by_network = "super_resolution" in model.tasks
    if not by_network:
        for name in ("image", "num", "seed"):
            if getattr(request, name) is not None:
                raise UserError(
                    f"--{name} does not go with this model, which was not trained for super-resolution: the detail "
                    "comes from the photo's own patches, without chance, and only for the photo itself"
                )
        photo, notes = pictures.first_frame(source, source.size)
        size = _larger(request.size, photo.shape[:2])
        notes = [*notes, "the photo, enlarged with the detail of its own patches: no network has a part in it"]
        return Made((enlarge.enlarged(photo, size) for _ in range(1)), 1, notes)
    image, notes = (request.image, []) if request.image is not None else pictures.first_frame(source, model.size)
    size, seed, count = _larger(request.size, image.shape[:2]), request.seed or 0, request.num or 1
    images = (model.draw_made_of(seed, number, size, image) for number in range(count))
    return Made(images, count, [*notes, "enlarged by the network"])


def _larger(text: str | None, size: pictures.Size) -> pictures.Size:
    wanted = parse_size(text or _FACTOR, size)
    if any(to < of for to, of in zip(wanted, size, strict=True)) or wanted == size:
        raise UserError(
            f"--size {text!r} is {wanted[1]}x{wanted[0]}, not larger than the picture of {size[1]}x{size[0]}: "
            "super-resolution enlarges; use --task retarget for other sizes"
        )
    return wanted
