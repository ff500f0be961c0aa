"""Training: one loop, devices, processes, fleets. Called as a function it is siv_jax.api.train."""

import sys
import types


class _CallableModule(types.ModuleType):
    """Lets siv_jax.train(...) be the function, though importing this package gives siv_jax the name."""

    def __call__(self, *arguments, **options):
        """See siv_jax.api.train."""
        from siv_jax import api

        return api.train(*arguments, **options)


sys.modules[__name__].__class__ = _CallableModule
