"""Every metric of one set of samples against the training images of their model, from arrays alone."""

import functools
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from siv_jax.metrics import bootstrap, diversity, lpips, ms_ssim, network_weights, sifid
from siv_jax.metrics.nearest import Nearest, copy_threshold, nearest

SMALLEST_SIDE = 31  # under which AlexNet's last layers have no position
SEED = 0  # of the augmented training images and of the bootstrap


class Networks(NamedTuple):
    """form: of LPIPS, one of network_weights.LPIPS_FORMS. lpips, inception: parameters, on the device."""

    form: str
    lpips: dict
    inception: dict


class Value(NamedTuple):
    """A metric and its 95% interval, None where there are too few samples for one."""

    value: float
    interval: bootstrap.Interval = None


class Measurement(NamedTuple):
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


def load_networks(form: str, cache: Path | None = None) -> Networks:
    """The networks for LPIPS in this form and for SIFID.

    Raises UserError: their weights are not in the cache, or damaged.
    """
    names = (network_weights.LPIPS_FORMS[form], "inception")
    # Put on the device once, or every batch would carry the parameters along.
    return Networks(form, *jax.device_put([network_weights.load(name, cache) for name in names]))


def measure(fakes: np.ndarray, reals: np.ndarray, networks: Networks) -> Measurement:
    """Measures uint8 samples [N, H, W, 3] against uint8 training images [M, H, W, 3], N and M >= 1.

    With M > 1 the training images count as the frames of one clip.
    """
    embed = functools.partial(lpips.vectors, networks.form, networks.lpips)
    vectors = embed(fakes)
    pairs = lpips.distances(vectors, vectors)
    closest = nearest(vectors, reals, SEED, embed)
    threshold = copy_threshold(reals, embed)
    values, per_sample = _fidelity(fakes, reals, networks.inception)
    values |= _diversity(fakes, reals, pairs)
    values["distance_to_train"] = _mean(closest.distance)
    values["near_copies"] = Value(float((closest.distance <= threshold).mean()))
    per_sample["distance_to_train"] = closest.distance
    if len(fakes) > 1:
        per_sample["lpips_to_others"] = pairs.sum(axis=1) / (len(fakes) - 1)
    return Measurement(values, per_sample, pairs, closest, threshold)


def _fidelity(fakes: np.ndarray, reals: np.ndarray, params: dict):
    of_fakes, of_reals = sifid.features(params, fakes), sifid.features(params, reals)
    values, per_sample = {}, {}
    for block, found in sifid.sifid(of_fakes, of_reals).items():
        per_sample[f"sifid_{block}"] = found.mean(axis=1)
        values[f"sifid_{block}"] = _mean(found.mean(axis=1))
        values[f"sifid_{block}_sd"] = Value(float(found.std(ddof=1))) if found.size > 1 else None
        values[f"sifid_{block}_best"] = Value(float(found.min(axis=0).mean()))
    if len(reals) > 1:
        sets = sifid.set_fid(of_fakes, of_reals) if len(fakes) > 1 else {}
        values |= {f"set_fid_{block}": Value(found) for block, found in sets.items()}
    return values, per_sample


def _diversity(fakes: np.ndarray, reals: np.ndarray, pairs: np.ndarray) -> dict[str, Value | None]:
    if len(fakes) < 2:
        return dict.fromkeys(("lpips_diversity", "pixel_diversity", "ms_ssim"))
    return {
        "lpips_diversity": _mean_of_pairs(pairs),
        "pixel_diversity": _pixel_diversity(fakes, reals),
        "ms_ssim": _mean_of_pairs(ms_ssim.ms_ssim(fakes)),
    }


def _pixel_diversity(fakes: np.ndarray, reals: np.ndarray) -> Value | None:
    value = diversity.pixel_diversity(fakes, reals)
    if value is None:
        return None
    spread = bootstrap.of_deviation(diversity.gray(fakes).reshape(len(fakes), -1), SEED)
    return Value(value, spread and (value * spread[0], value * spread[1]))


def _mean_of_pairs(matrix: np.ndarray) -> Value:
    return Value(diversity.mean_of_pairs(matrix), bootstrap.of_pairs(matrix, SEED))


def _mean(values: np.ndarray) -> Value:
    return Value(float(values.mean(dtype=np.float64)), bootstrap.of_mean(values, SEED))
