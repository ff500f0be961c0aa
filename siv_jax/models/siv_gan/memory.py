"""How much memory a planned run takes, said before it starts; benchmarks/memory.py compares it with XLA's figure."""

import functools
import os
from collections.abc import Callable

import jax

from siv_jax.config import Config, ModelConfig
from siv_jax.errors import UserError
from siv_jax.models.siv_gan.plan import Plan
from siv_jax.models.siv_gan.state import discriminator_shapes, generator_shapes
from siv_jax.nn.flat import Layout

# float32 values that a step holds at its peak per pixel of the batch and unit of ch, and copies of the weights
# (moments, average, gradients, normalised weights). Measured on compiled programs, see the module's docstring.
_VALUES_PER_PIXEL_G = 11.5
_VALUES_PER_PIXEL_D = 11.5
_COPIES_OF_WEIGHTS = 8


def estimate(plan: Plan, config: Config, num_frames: int, num_devices: int) -> int:
    """Bytes that training takes on each device: frames, weights in all their copies, and activations.

    Counted in float32; bfloat16 arithmetic takes less.
    """
    weights = _weights(plan, config.model)
    pixels = plan.height * plan.width * -(-config.batch_size // num_devices)
    per_pixel = _VALUES_PER_PIXEL_G * config.model.ch_g + _VALUES_PER_PIXEL_D * config.model.ch_d
    frames = num_frames * plan.height * plan.width * plan.channels * 4
    return int(4 * (weights * _COPIES_OF_WEIGHTS + pixels * per_pixel)) + frames


def available() -> int:
    """Bytes that the devices of this process offer, the least of them; on a CPU those that the system can give."""
    stats = [device.memory_stats() for device in jax.local_devices()]
    if all(stats) and all("bytes_limit" in entry for entry in stats):
        return min(entry["bytes_limit"] for entry in stats)
    try:
        with open("/proc/meminfo") as file:
            kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in file}
        return kilobytes["MemAvailable"] * 1024
    except OSError:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def require(needed: int, there: int, max_size: int, needed_at: Callable[[int], int]) -> None:
    """Refuses a run that does not fit.

    Args:
      needed, there: bytes, of `estimate` and `available`.
      max_size: data.max_size of the run.
      needed_at: bytes that the same input would need at another data.max_size; UserError where no plan fits.

    Raises:
      UserError: names the largest data.max_size that fits.
    """
    if needed <= there:
        return
    for smaller in range(max_size - 1, 0, -1):
        try:
            fits = needed_at(smaller) <= there
        except UserError:
            break
        if fits:
            raise UserError(
                f"training needs about {_gigabytes(needed)} of memory and the device offers {_gigabytes(there)}: "
                f"the largest data.max_size that fits is {smaller}"
            )
    raise UserError(
        f"training needs about {_gigabytes(needed)} of memory and the device offers {_gigabytes(there)}, too little "
        "for any data.max_size: lower model.ch_g, model.ch_d or batch_size"
    )


@functools.cache  # many values of data.max_size have one plan, and tracing the networks takes a while
def _weights(plan: Plan, model: ModelConfig) -> int:
    networks = generator_shapes(plan, model), discriminator_shapes(plan, model)
    return sum(sum(Layout.of(shapes).sizes) for shapes in networks)


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
