"""Weights of the original PyTorch implementation, under its own names, as sampling weights of this package.

A block there holds `conv.weight` [out, in, 3, 3], `conv.bias`, with batch norm `norm.weight` and `norm.bias` [out], and
with PReLU `prelu.weight` [1].
"""

import dataclasses
import re
from collections.abc import Callable

import numpy as np

from siv_jax.data.source import Source
from siv_jax.errors import UserError
from siv_jax.models.consingan import parts
from siv_jax.models.consingan.config import Config
from siv_jax.models.consingan.plan import Plan, make_plan
from siv_jax.nn import flat, original_tensors
from siv_jax.nn.original_tensors import BUFFERS, Tensors, put, taken

NETWORK = "a ConSinGAN generator"
_LEAVES = {"conv.weight": ("conv", "kernel"), "conv.bias": ("conv", "bias"), "prelu.weight": ("slope",)}
_LEAVES |= {"norm.weight": ("norm", "scale"), "norm.bias": ("norm", "shift")}
_FIRST = "head.conv.weight"


def import_weights(tensors: Tensors, config: Config, source: Source | None) -> tuple[Config, Plan, dict]:
    """Settings, plan and sampling weights of a generator that has come to its last stage.

    Args:
      tensors: float arrays: the generator's state_dict under names such as `generator.head.conv.weight`; the noises of
        the reconstruction [1, C, h, w] as `fixed.0`, `fixed.1`, ...; `amplitudes.0`, ..., or `amplitudes` [stages]. A
        discriminator's state_dict under `discriminator.` is kept for fine-tuning.
      config: settings: mode, sizes, slope and kind of the activation must be those of the training; what the weights
        tell is replaced.
      source: the picture that was learnt, from which the sizes of the stages follow.

    Raises UserError: these are not such weights, or do not fit the picture and the settings.
    """
    players = {player: _state(tensors, player) for player in ("generator", "discriminator")}
    if not players["generator"]:
        raise UserError(f"there should be the weights of {NETWORK}, generator.{_FIRST} and others, but there are none")
    if source is None:
        raise UserError("the sizes of the stages follow from the picture that was learnt: give it with --image")
    found = tree(players["generator"])
    model = dataclasses.replace(
        config.model,
        width=players["generator"][_FIRST].shape[0],
        num_stages=max(2, sum(part.startswith("body_") for part in found)),
        batch_norm="head.norm.weight" in players["generator"],
        activation="prelu" if "head.prelu.weight" in players["generator"] else config.model.activation,
        as_run=True,
    )
    plan = make_plan(*source.size, source.channels, config.data.max_size, model)
    make = parts.Generator(model, plan.channels)
    names = ["head", *(f"body_{stage}" for stage in range(plan.num_stages)), "tail"]
    original_tensors.require_shapes(found, {name: make.part(name).shapes for name in names}, NETWORK)
    weights = {
        "generator": {part: flat.joined(inner) for part, inner in found.items()},
        "fixed": _fixed(tensors, make.noise_shapes(plan.sizes)),
        "amplitudes": original_tensors.amplitudes(tensors, plan.num_stages),
    }
    if players["discriminator"]:
        critic = discriminator_tree(players["discriminator"])
        original_tensors.require_shapes(critic, parts.discriminator(plan, model).shapes, "a ConSinGAN discriminator")
        weights["discriminator"] = flat.joined(critic)
    return dataclasses.replace(config, model=model), plan, weights


def tree(tensors: Tensors) -> dict[str, dict]:
    """Parts of a network, "head", "body_0", ..., "tail", as trees of float32; see `place`.

    Raises UserError: a tensor has other dimensions, or no place in such a network.
    """
    return _tree(tensors, place, NETWORK)


def discriminator_tree(tensors: Tensors) -> dict:
    """The discriminator's parameters as `parts.discriminator` has them. Raises UserError: as `tree`."""
    return _tree(tensors, lambda name: discriminator_place(place(name)), "a ConSinGAN discriminator")


def place(name: str) -> tuple[str, ...]:
    """(part of the network, place in its tree) of a parameter there. Raises UserError: it has none."""
    if found := re.fullmatch(r"tail(?:\.0)?\.(weight|bias)", name):
        return "tail", "conv", "kernel" if found[1] == "weight" else "bias"
    if (found := re.fullmatch(r"head\.(.+)", name)) and found[1] in _LEAVES:
        return "head", "block", *_LEAVES[found[1]]
    found = re.fullmatch(r"body\.(?:(\d+)\.)?block(\d+)\.(.+)", name)
    if found and found[3] in _LEAVES:
        return f"body_{found[1] or 0}", f"block_{found[2]}", *_LEAVES[found[3]]
    raise UserError(f"these are not the weights of {NETWORK}: {name} has no place in one")


def discriminator_place(path: tuple[str, ...]) -> tuple[str, ...]:
    """Where a parameter stands in the discriminator's tree, from what `place` says of it."""
    part, *keys = path
    if part == "tail":
        return tuple(keys)
    return ("block_0", *keys[1:]) if part == "head" else (f"block_{int(keys[0][-1]) + 1}", *keys[1:])


def _tree(tensors: Tensors, place_of: Callable[[str], tuple[str, ...]], what: str) -> dict:
    # Without running statistics: each picture is normalised by its own.
    rest, found = {name: tensor for name, tensor in tensors.items() if not name.endswith(BUFFERS)}, {}
    for name in list(rest):
        path = place_of(name)
        tensor = taken(rest, name, 4 if path[-1] == "kernel" else 1, what)
        put(found, path, original_tensors.kernel(tensor))
    return found


def _state(tensors: Tensors, player: str) -> Tensors:
    """A network's tensors under their own names; names may carry a prefix after the player's."""
    found = original_tensors.under_prefix(tensors, f"{player}.")
    prefixes = original_tensors.prefixes(found, _FIRST)
    return original_tensors.under_prefix(found, prefixes[0]) if prefixes else {}


def _fixed(tensors: Tensors, shapes: list[tuple[int, ...]]) -> list[np.ndarray]:
    """The noises of the reconstruction, [1, h, w, C] of stage 0 and [h, w, C] of the others."""
    found = original_tensors.listed(tensors, "fixed")
    if len(found) != len(shapes):
        raise UserError(f"there are {len(found)} noises fixed.0, ... and {len(shapes)} stages")
    for stage, (noise, (height, width, channels)) in enumerate(zip(found, shapes, strict=True)):
        if noise.shape != (1, channels, height, width):
            raise UserError(
                f"fixed.{stage} has the shape {list(noise.shape)}, and stage {stage} of the picture with these "
                f"settings takes {[1, channels, height, width]}: give the photo and the settings of the training, such "
                "as --set model.mode=retarget, --set data.max_size=250, --set model.min_size=25"
            )
    arrays = [noise.transpose(0, 2, 3, 1) for noise in found]
    return [arrays[0], *(noise[0] for noise in arrays[1:])]
