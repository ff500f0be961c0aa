"""Animation: a walk of the noise about z*."""

import numpy as np

FIRST = 0.05  # share of the first step's noise


def frames(still: np.ndarray, steps: np.ndarray, start: int, strength: float, smoothness: float) -> np.ndarray:
    """Noise float32 [n, length] of n frames.

        z(0) = .95 z* + .05 u(0), z(-1) = z*
        d = beta (z(t) - z(t-1)) + (1 - beta) u(t),  z(t+1) = alpha z* + (1 - alpha) (z(t) + d)

    z(1) to z(n) are the frames. The walk runs in all values; those before `start` are replaced by z* afterwards.

    Args:
      still: z*, float32 [length].
      steps: u(0) to u(n), normal float32 [n + 1, length].
      start: values before it stay still.
      strength, smoothness: alpha and beta.
    """
    before, now = still, (1 - FIRST) * still + FIRST * steps[0]
    found = []
    for step in steps[1:]:
        move = smoothness * (now - before) + (1 - smoothness) * step
        before, now = now, strength * still + (1 - strength) * (now + move)
        found.append(np.concatenate([still[:start], now[start:]]))
    return np.stack(found).astype(np.float32)
