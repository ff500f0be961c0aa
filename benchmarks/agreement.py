"""How near a training step on this device is to the same step on the CPU, as JSON lines.

    python benchmarks/agreement.py --height 64 --width 64 --ch 8 [--out FILE]

One line for each precision of float32 products: what the device does by itself, which on a GPU rounds to TF32, and the
highest. Both devices start from the same state and draw the same random numbers. `metrics` is the largest relative
difference of a loss or another metric; `state` that of an array of the new state, as a norm over the array's own.
"""

import jax
import numpy as np
from measure import KEY, device_name, emit, parser_of, task_on_noise


def main() -> None:
    given = parser_of(__doc__).parse_args()
    task, data, state = task_on_noise(given, dtype="float32")
    stage = task.stages[0]
    for precision in ("default", "highest"):
        with jax.default_matmul_precision(precision):
            # A function of its own each time, since jax.jit would give back what it compiled at the other precision.
            step = jax.jit(lambda *arguments: stage.step(*arguments))
            here, there = (_stepped(step, state, data, device) for device in (jax.devices()[0], jax.devices("cpu")[0]))
        emit(
            {
                "benchmark": "agreement",
                "device": device_name(),
                "jax": jax.__version__,
                "size": [task.plan.height, task.plan.width],
                "ch": given.ch,
                "precision": precision,
                "metrics": _difference(here[1], there[1]),
                "state": _difference(here[0], there[0]),
            },
            given.out,
        )


def _stepped(step, state, data, device: jax.Device) -> tuple:
    """New state and metrics of the first step on a device."""
    key = jax.random.wrap_key_data(KEY, impl="threefry2x32")
    return jax.device_get(step(*jax.device_put((state, data, key), device), 0))


def _difference(here, there) -> float:
    """The largest over the arrays of both trees of the norm of the difference over the norm."""
    pairs = zip(jax.tree.leaves(here), jax.tree.leaves(there), strict=True)
    found = [
        np.linalg.norm(np.float64(a) - np.float64(b)) / max(float(np.linalg.norm(np.float64(b))), 1e-12)
        for a, b in pairs
        if np.issubdtype(np.asarray(b).dtype, np.floating)
    ]
    return float(f"{max(found):.3g}")


if __name__ == "__main__":
    main()
