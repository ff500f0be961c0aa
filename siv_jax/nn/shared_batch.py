"""A batch on several devices, its shards: each has the same number of its samples."""

from collections.abc import Callable

import jax

from siv_jax.errors import UserError
from siv_jax.models.interface import AXIS, Tree


def averaging(shards: int) -> Callable[[Tree], Tree]:
    """A function, to be used in a step, of a tree of arrays: their means over all shards."""
    return (lambda tree: tree) if shards == 1 else (lambda tree: jax.lax.pmean(tree, AXIS))


def require_equal_shares(batch_size: int, shards: int, fewest: int = 1) -> None:
    """Checks that the batch can be shared out over so many devices.

    Args:
      fewest: samples that a device has at least, for the advice.

    Raises:
      UserError: it does not divide; says which sizes near it do.
    """
    if batch_size % shards:
        fitting = {max(fewest, batch_size // shards) * shards, max(fewest, batch_size // shards + 1) * shards}
        nearest = " or ".join(map(str, sorted(fitting)))
        raise UserError(
            f"batch_size {batch_size} does not divide over {shards} devices: the nearest that does is {nearest}; "
            "or use fewer devices with --devices"
        )
