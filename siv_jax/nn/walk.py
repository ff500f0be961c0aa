"""Animation: a walk of the noise about that which rebuilds the picture."""

import numpy as np

Scalar = float | np.float32


def walk(
    still: np.ndarray, steps: np.ndarray, start: int, first: Scalar, strength: Scalar, smoothness: Scalar
) -> np.ndarray:
    """Noise float32 [n, length] of n frames.

        z(0) = (1 - first) z* + first u(0), z(-1) = z*
        d = beta (z(t) - z(t-1)) + (1 - beta) u(t),  z(t+1) = alpha z* + (1 - alpha) (z(t) + d)

    z(1) to z(n) are the frames. The walk runs in all values; those before `start` are replaced by z* afterwards.

    Args:
      still: z*, float32 [length].
      steps: u(0) to u(n), normal float32 [n + 1, length].
      start: values before it stay still.
      first: share of u(0) in the first position.
      strength, smoothness: alpha, how strongly each frame is drawn back to z*, and beta, how much of its last move a
        frame keeps. With all three as np.float32, 1 - alpha and the like are rounded to float32 before they are used.
    """
    before, now = still, (1 - first) * still + first * steps[0]
    found = []
    for step in steps[1:]:
        move = smoothness * (now - before) + (1 - smoothness) * step
        before, now = now, strength * still + (1 - strength) * (now + move)
        found.append(np.concatenate([still[:start], now[start:]]))
    return np.stack(found).astype(np.float32)
