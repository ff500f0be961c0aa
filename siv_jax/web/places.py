"""Places in the latent space: samples, what lies around one, and the way from one to another, each with a name."""

import dataclasses

import numpy as np

from siv_jax.sampling.trained_model import TrainedModel
from siv_jax.sampling.walk import walk

# Steps of a walk from one sample to another.
STEPS = 24


@dataclasses.dataclass(frozen=True)
class Place:
    """Latents float32 [...] of one sample, and a name that says where they come from."""

    name: str
    latents: np.ndarray


def samples(model: TrainedModel, seed: int, start: int, count: int, strength: float) -> list[Place]:
    """Samples number `start` to `start + count` of `seed`.

    Args:
      strength: factor of the latents: below 1 samples are more usual and more alike (truncation), above it odder.
    """
    ending = "" if strength == 1 else f"_strength{strength:g}"
    found = model.latents(count, seed, start) * np.float32(strength)
    return [Place(f"seed{seed}_{start + i}{ending}", z) for i, z in enumerate(found)]


def around(model: TrainedModel, centre: Place, distance: float, seed: int, count: int) -> list[Place]:
    """`count` variations of a sample.

    Args:
      distance: 0 gives the sample itself, 1 samples that have nothing to do with it. What lies between has the
        length of samples: cos(a) z + sin(a) noise, a quarter of a circle at 1.
    """
    angle = np.float32(distance * np.pi / 2)
    moved = np.cos(angle) * centre.latents + np.sin(angle) * model.noise(count, seed)
    base = centre.name[:60]
    return [Place(f"{base}_near{seed}_{i}_{distance:g}", z) for i, z in enumerate(moved.astype(np.float32))]


def between(start: Place, end: Place, step: int) -> Place:
    """Step `step` of STEPS on the great-circle way from one sample to another."""
    if step in (0, STEPS):
        return start if step == 0 else end
    (z,) = walk(np.stack([start.latents, end.latents]), STEPS, [step])
    return Place(f"{start.name[:60]}-{end.name[:60]}-{step}of{STEPS}", z)
