"""Walks between samples."""

import numpy as np


def walk(anchors: np.ndarray, frames_between: int) -> np.ndarray:
    """Latents along a closed walk through `anchors` [k, ...], k >= 2: float32 [k * frames_between, ...].

    Great-circle steps between neighbours: points on straight lines between normal latents are shorter than
    any that the generator was trained on.
    """
    points = []
    for start, end in zip(anchors, np.roll(anchors, -1, axis=0), strict=True):
        cosine = np.vdot(start, end) / (np.linalg.norm(start) * np.linalg.norm(end))
        angle = np.arccos(np.clip(cosine, -1.0, 1.0))
        for share in np.arange(frames_between) / frames_between:
            if np.sin(angle) < 1e-4:  # equal or opposite latents: no great circle is theirs
                points.append((1 - share) * start + share * end)
            else:
                weights = np.sin((1 - share) * angle), np.sin(share * angle)
                points.append((weights[0] * start + weights[1] * end) / np.sin(angle))
    return np.asarray(points, np.float32)
