"""Weights of the original PyTorch implementation, under its own names, as sampling weights of this package.

A generator there holds `head`, `body.block1` to `body.block3`, each with `conv.weight` [out, in, 3, 3], `conv.bias`,
`norm.weight`, `norm.bias`, `norm.running_mean` and `norm.running_var` [out], and `tail.0.weight` and `tail.0.bias`.
"""

import dataclasses

import numpy as np

from siv_jax.data.source import Source
from siv_jax.errors import UserError
from siv_jax.models.singan import network
from siv_jax.models.singan.config import Config
from siv_jax.models.singan.plan import REACH, Plan, Size, make_plan
from siv_jax.nn import flat, original_tensors
from siv_jax.nn.original_tensors import Tensors, taken

NETWORK = "a SinGAN generator"
LAYERS = ("head", "body.block1", "body.block2", "body.block3")


def import_weights(tensors: Tensors, config: Config, source: Source | None) -> tuple[Config, Plan, dict]:
    """Settings, plan and sampling weights of a whole pyramid.

    Args:
      tensors: float arrays: the generators' state_dicts, the coarsest first, under names such as
        `generators.0.head.conv.weight`; `amplitudes.0`, ..., or `amplitudes` [scales]; the coarsest scale's noise of
        the reconstruction `z_star` [1, C, h, w], or `z_star.0` of a list of all scales', padded by 5 on each side or
        not. Where its padding is not zero, noise padding was on.
      config: settings: data.max_size, model.min_size, scale_factor and upscale must be those of the training; what the
        weights tell is replaced.
      source: the picture that was learnt, from which the sizes of the scales follow.

    Raises UserError: these are not such weights, or do not fit the picture and the settings.
    """
    found = [_generator(tensors, scale) for scale in range(_count(tensors))]
    if source is None:
        raise UserError("the sizes of the scales follow from the picture that was learnt: give it with --image")
    widths = [own["kernels"][0].shape[-1] for own, _ in found]
    model = dataclasses.replace(config.model, width=widths[0], max_width=max(widths))
    plan = make_plan(*source.size, source.channels, dataclasses.replace(config, model=model))
    if len(plan.sizes) != len(found):
        raise UserError(
            f"there are generators of {len(found)} scales, and the picture with these settings has {len(plan.sizes)}: "
            "give the photo and the settings of the training, such as --set data.max_size=250, --set model.min_size=25"
        )
    for (own, stats), width in zip(found, plan.widths, strict=True):
        made = network.make(plan.channels, width, plan.channels)
        original_tensors.require_shapes(own, made.shapes, NETWORK)
        original_tensors.require_shapes(stats, made.stats_shapes, NETWORK)
    z_star, padded = _z_star(tensors, plan.sizes[0])
    model = dataclasses.replace(model, noise_padding=padded)
    weights = {
        "scales": [{"params": flat.joined(own), "stats": flat.joined(stats)} for own, stats in found],
        "amplitudes": original_tensors.amplitudes(tensors, len(found)),
        "z_star": z_star,
    }
    return dataclasses.replace(config, model=model), plan, weights


def params(tensors: Tensors) -> dict:
    """Parameters of a network's tensors, which are taken out, as `network.Network.shapes` has them, float32.

    Raises UserError: a tensor is missing or has other dimensions.
    """
    tail = "tail.0" if "tail.0.weight" in tensors else "tail"  # of a generator, of a discriminator
    convolutions = [*(f"{layer}.conv" for layer in LAYERS), tail]
    kernels = [taken(tensors, f"{name}.weight", 4, NETWORK) for name in convolutions]
    return {
        "kernels": [original_tensors.kernel(kernel) for kernel in kernels],
        "scales": [taken(tensors, f"{layer}.norm.weight", 1, NETWORK) for layer in LAYERS],
        "shifts": [taken(tensors, f"{layer}.norm.bias", 1, NETWORK) for layer in LAYERS],
        "bias": taken(tensors, f"{tail}.bias", 1, NETWORK),
    }


def stats(tensors: Tensors) -> dict:
    """Running statistics, as `network.Network.stats_shapes`; ours are those of convolutions without a bias.

    Raises UserError: a tensor is missing or has other dimensions.
    """
    means, biases, variances = (
        [taken(tensors, f"{layer}.{name}", 1, NETWORK) for layer in LAYERS]
        for name in ("norm.running_mean", "conv.bias", "norm.running_var")
    )
    if any(mean.shape != bias.shape for mean, bias in zip(means, biases, strict=True)):
        raise UserError("norm.running_mean and conv.bias of a layer have different lengths")
    return {"means": [mean - bias for mean, bias in zip(means, biases, strict=True)], "variances": variances}


def _count(tensors: Tensors) -> int:
    """Number of generators."""
    count = 0
    while any(name.startswith(f"generators.{count}.") for name in tensors):
        count += 1
    if not count:
        raise UserError(
            f"there should be the weights of {NETWORK} for each scale, generators.0.head.conv.weight and others, but "
            "there are none"
        )
    return count


def _generator(tensors: Tensors, scale: int) -> tuple[dict, dict]:
    """(params, stats) of a scale."""
    own = original_tensors.under_prefix(tensors, f"generators.{scale}.")
    own = {name: tensor for name, tensor in own.items() if not name.endswith("num_batches_tracked")}
    try:
        found = params(own), stats(own)
        original_tensors.require_none_left(own, NETWORK)
    except UserError as error:
        raise UserError(f"generators.{scale}: {error}") from None
    return found


def _z_star(tensors: Tensors, size: Size) -> tuple[np.ndarray, bool]:
    """(z* float32 [1, h, w, 1] as the sampler takes it, whether there is noise in its padding)."""
    name = "z_star.0" if "z_star.0" in tensors else "z_star"
    noise = taken(dict(tensors), name, 4, "a SinGAN pyramid").transpose(0, 2, 3, 1)[..., :1]
    height, width = size
    if noise.shape == (1, height, width, 1):
        return noise, False
    if noise.shape != (1, height + 2 * REACH, width + 2 * REACH, 1):
        raise UserError(
            f"z_star is of {noise.shape[2]}x{noise.shape[1]}, and the coarsest scale of the picture with these "
            f"settings of {width}x{height}, or 10 more with padding: give the photo and the settings of the training"
        )
    inside = noise[:, REACH:-REACH, REACH:-REACH]
    padded = bool(np.count_nonzero(noise) > np.count_nonzero(inside))
    return (noise if padded else inside), padded
