"""A batch on several devices: each has the same number of its samples."""

from siv_jax.errors import UserError


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
