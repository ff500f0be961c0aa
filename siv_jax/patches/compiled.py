"""Compilation of the programs of a rendering, which are many and small: one a level."""

import functools
from collections.abc import Callable

import jax

from siv_jax.nn.compilation import compiler_options


def compiled(*static: str) -> Callable[[Callable], Callable]:
    """Decorates a function with jit under options that keep compilation short: on a CPU they nearly halve its time.

    On a GPU matrix products go straight to cuBLAS: by default XLA tries dozens of kernels for each, and on an H200 the
    first picture of 250x188 was not done after 107 seconds. The backend is asked for at the first call, so that an
    import does not start it.

    Args:
      static: names of arguments that are part of the program.
    """

    def decorate(function: Callable) -> Callable:
        @functools.cache
        def program() -> Callable:
            return jax.jit(function, static_argnames=static, compiler_options=_options())

        @functools.wraps(function)
        def call(*given, **named):
            return program()(*given, **named)

        return call

    return decorate


def _options() -> dict[str, int | bool]:
    options = compiler_options()
    if jax.default_backend() == "gpu":
        options |= {"xla_gpu_enable_triton_gemm": False, "xla_gpu_autotune_level": 0}
    return options
