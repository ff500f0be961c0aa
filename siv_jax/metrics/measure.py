"""Every metric of one set of samples against the training images of their model, from arrays alone."""

import dataclasses
import functools

import jax
import numpy as np

from siv_jax.metrics import bootstrap, diversity, lpips, ms_ssim, sifid
from siv_jax.metrics.nearest import Nearest, copy_threshold, nearest

SMALLEST_SIDE = 31  # under which AlexNet's last layers have no position


@dataclasses.dataclass(frozen=True)
class Settings:
    """What of the recipe can be chosen."""

    lpips: str = "alex"  # one of variants.VARIANTS
    seed: int = 0  # of the augmented training images and of the bootstrap


@dataclasses.dataclass(frozen=True)
class Networks:
    """Parameters as `weights.load` gives them."""

    lpips: dict
    inception: dict


@dataclasses.dataclass(frozen=True)
class Value:
    """A metric and its 95% interval, None where there are too few samples for one."""

    value: float
    interval: bootstrap.Interval = None


@dataclasses.dataclass(frozen=True)
class Measurement:
    """Of N samples and M training images.

    values: name -> Value, or None where the metric is not defined (one sample, a size too small).
    per_sample: name -> [N].
    pairs: LPIPS of all pairs of samples [N, N].
    threshold: distance to train up to which a sample is a near copy.
    """

    values: dict[str, Value | None]
    per_sample: dict[str, np.ndarray]
    pairs: np.ndarray
    nearest: Nearest
    threshold: float

    @property
    def near_copies(self) -> np.ndarray:
        """[N] whether each sample is a near copy of a training image."""
        return self.nearest.distance <= self.threshold


def measure(fakes: np.ndarray, reals: np.ndarray, settings: Settings, networks: Networks) -> Measurement:
    """Measures uint8 samples [N, H, W, 3] against uint8 training images [M, H, W, 3], N and M >= 1.

    With M > 1 the training images count as the frames of one clip.
    """
    # Once, or every batch would carry the parameters along.
    lpips_params, inception_params = jax.device_put((networks.lpips, networks.inception))
    embed = functools.partial(lpips.vectors, settings.lpips, lpips_params)
    vectors = embed(fakes)
    pairs = lpips.distances(vectors, vectors)
    closest = nearest(vectors, reals, settings.seed, embed)
    threshold = copy_threshold(reals, embed)
    values, per_sample = _fidelity(fakes, reals, settings.seed, inception_params)
    values |= _diversity(fakes, reals, pairs, settings.seed)
    values["distance_to_train"] = _mean(closest.distance, settings.seed)
    values["near_copies"] = Value(float((closest.distance <= threshold).mean()))
    per_sample["distance_to_train"] = closest.distance
    if len(fakes) > 1:
        per_sample["lpips_to_others"] = pairs.sum(axis=1) / (len(fakes) - 1)
    return Measurement(values, per_sample, pairs, closest, threshold)


def _fidelity(fakes: np.ndarray, reals: np.ndarray, seed: int, params: dict):
    of_fakes, of_reals = sifid.features(params, fakes), sifid.features(params, reals)
    values, per_sample = {}, {}
    for block, found in sifid.sifid(of_fakes, of_reals).items():
        per_sample[f"sifid_{block}"] = found.mean(axis=1)
        values[f"sifid_{block}"] = _mean(found.mean(axis=1), seed)
        values[f"sifid_{block}_sd"] = Value(float(found.std(ddof=1))) if found.size > 1 else None
        values[f"sifid_{block}_best"] = Value(float(found.min(axis=0).mean()))
    if len(reals) > 1:
        sets = sifid.set_fid(of_fakes, of_reals) if len(fakes) > 1 else {}
        values |= {f"set_fid_{block}": Value(found) for block, found in sets.items()}
    return values, per_sample


def _diversity(fakes: np.ndarray, reals: np.ndarray, pairs: np.ndarray, seed: int) -> dict[str, Value | None]:
    if len(fakes) < 2:
        return dict.fromkeys(("lpips_diversity", "pixel_diversity", "ms_ssim"))
    similarity = ms_ssim.ms_ssim(fakes)
    pixel = diversity.pixel_diversity(fakes, reals)
    return {
        "lpips_diversity": Value(diversity.mean_of_pairs(pairs), bootstrap.of_pairs(pairs, seed)),
        "pixel_diversity": None if pixel is None else _pixel(pixel, fakes, seed),
        "ms_ssim": Value(diversity.mean_of_pairs(similarity), bootstrap.of_pairs(similarity, seed)),
    }


def _pixel(value: float, fakes: np.ndarray, seed: int) -> Value:
    spread = bootstrap.of_deviation(diversity.gray(fakes).reshape(len(fakes), -1), seed)
    return Value(value, spread and (value * spread[0], value * spread[1]))


def _mean(values: np.ndarray, seed: int) -> Value:
    return Value(float(values.mean(dtype=np.float64)), bootstrap.of_mean(values, seed))
