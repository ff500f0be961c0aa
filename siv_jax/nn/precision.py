"""The type in which networks compute."""

import jax
import jax.numpy as jnp


def compute_dtype(name: str) -> jnp.dtype:
    """ "float32", "bfloat16" or "auto" as a dtype: "auto" is bfloat16 on accelerators, float32 on a CPU."""
    if name == "auto":
        name = "float32" if jax.default_backend() == "cpu" else "bfloat16"
    return jnp.dtype(name)
