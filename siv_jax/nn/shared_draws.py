"""Models of one draw a step on several devices: each device takes draws of its own, and the step averages over them."""

from siv_jax.errors import UserError


def require_equal_shares(batch_size: int, shards: int) -> None:
    """Checks that the draws can be shared out over so many devices. Raises UserError: they do not divide."""
    if batch_size % shards:
        fitting = -(-batch_size // shards) * shards
        raise UserError(
            f"batch_size {batch_size} cannot be shared by {shards} devices: train on one with --devices 1, or "
            f"set batch_size {fitting}, and each step averages over as many draws"
        )
