"""What programs are compiled with."""

import jax


def compiler_options() -> dict[str, int | bool]:
    """Options of XLA on the default backend.

    On a CPU both options together halve the compile time and quarter its memory and cost the steps nothing: the
    step is hundreds of small operations, and its time goes into convolutions that a library computes.
    """
    if jax.default_backend() != "cpu":
        return {}
    options: dict[str, int | bool] = {"xla_backend_optimization_level": 1}
    if jax.__version_info__ < (0, 11):  # later releases have no such option and refuse it
        options["xla_cpu_use_fusion_emitters"] = False
    return options
