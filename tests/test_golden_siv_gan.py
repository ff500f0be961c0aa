"""Parity with the original SIV-GAN on its own weights after 30 training steps."""

import functools
import re

import golden as golden_files
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from siv_jax.models.siv_gan.config import AugmentConfig, Config, LossConfig, ModelConfig, OptimConfig
from siv_jax.models.siv_gan.objectives import Draws, Players
from siv_jax.models.siv_gan.original_weights import NETWORK
from siv_jax.nn import adam, flat
from siv_jax.nn.two_branch import original_weights
from siv_jax.nn.two_branch.objectives import pyramid
from siv_jax.nn.two_branch.plan import Plan, make_plan
from siv_jax.train.devices import compiler_options

PARTS = {"low_level": "low-level", "content": "content", "layout": "layout"}
BODIES = {"body_ll": "low_level", "body_content": "content", "body_layout": "layout"}
LOGITS = {"final_ll": "low_level", "final_content": "content", "final_layout": "layout"}
# Of a step's draws the objectives read only these latents, as no augmentation is on.
NO_DRAWS = dict.fromkeys(("z_moved", "warp_g", "warp_d", "mix_content", "mix_layout", "frames"))


def belongs(name: str, about: dict) -> bool:
    """Files of other systems name their system; OSMIS has the same settings as SIV-GAN."""
    own = about.get("system", "SIV-GAN").startswith("SIV-GAN") and "num_blocks_d0" in about.get("config", {})
    return own or name.startswith("siv_gan")


class Golden(golden_files.Arrays):
    def __init__(self, name: str):
        super().__init__(name)
        about = golden_files.about(name)
        self.settings = settings = about["config"]
        beta1, beta2 = settings["betas"]
        self.config = Config(
            batch_size=settings["batch"],
            model=ModelConfig(
                ch_g=settings["ch_G"],
                ch_d=settings["ch_D"],
                noise_dim=settings["noise_dim"],
                num_blocks_d=settings["num_blocks_d"],
                num_blocks_low_level=settings["num_blocks_d0"],
            ),
            loss=LossConfig(adversarial=settings["loss_mode"], diversity_weight=settings["lambdas"]["DR"]),
            augment=AugmentConfig(image=0.0, feature=0.0),
            optim=OptimConfig(lr_g=settings["lr"], beta1=beta1, beta2=beta2, eps=settings["adam_eps"]),
        )
        height, width = settings["resolution_HxW"]
        self.plan: Plan = make_plan(height, width, 3, max(height, width), self.config.model)
        self.players = Players(self.plan, self.config, jnp.float32)
        self.no_gradient = set(about["zero_gradients_in_float64"]["names"])
        self.z = self["z"][:, :, 0, 0]
        self.draws = Draws(z_g=self.z, z_d=self.z, **NO_DRAWS)

    def generator(self, changed: str | None = None) -> tuple[dict, dict]:
        """Parameters and spectral-norm vectors; some tensors as under the prefix `changed`."""
        return original_weights.generator(self._tensors("G_state/", changed), NETWORK)

    def discriminator(self, changed: str | None = None) -> tuple[dict, dict]:
        tensors = self._tensors("D_state/", changed)
        params, vectors = {}, {}
        for name in {key.rsplit(".", 1)[0] for key in tensors}:
            layer, pair = original_weights.convolution(tensors, name, NETWORK)
            path = discriminator_path(name)
            for tree, value in ((params, layer), (vectors, pair)):
                for key in path[:-1]:
                    tree = tree.setdefault(key, {})
                tree[path[-1]] = value
        return params, vectors

    def flat_weights(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """params_g, vectors_g, params_d, vectors_d."""
        return tuple(flat.joined(tree) for tree in (*self.generator(), *self.discriminator()))

    def _tensors(self, prefix: str, changed: str | None) -> dict[str, np.ndarray]:
        return self.under(prefix) | (self.under(changed) if changed else {})


def discriminator_path(name: str) -> tuple[str, ...]:
    group, index, *layer = name.split(".")
    if group == "rgb_to_features":
        return (f"from_image_{index}",)
    if group in LOGITS:
        return (f"{LOGITS[group]}_logit_{index}",)
    return (f"{BODIES[group]}_{index}", {"conv_sc": "shortcut"}.get(layer[0], layer[0]))


def generator_path(name: str) -> tuple[str, ...]:
    if name == "first_linear":
        return ("dense",)
    if match := re.fullmatch(r"rgb_converters\.(\d+)", name):
        return (f"to_image_{match.group(1)}",)
    _, index, layer = name.split(".")
    return (f"block_{index}", {"conv_sc": "shortcut"}.get(layer, layer))


load = functools.cache(Golden)
# As training compiles them, which halves the time this takes.
jit = functools.partial(jax.jit, compiler_options=compiler_options())


@pytest.fixture(params=golden_files.names(belongs))
def golden(request) -> Golden:
    return load(request.param)


def test_golden_siv_gan_plan(golden):
    settings, plan = golden.settings, golden.plan
    assert [plan.height, plan.width] == settings["resolution_HxW"]
    assert [plan.noise_height, plan.noise_width] == settings["noise_shape_HxW"]
    assert plan.num_blocks_g == settings["num_blocks_g"]


def test_golden_siv_gan_shapes_of_parameters(golden):
    for network, (params, _) in (
        (golden.players.generator, golden.generator()),
        (golden.players.discriminator, golden.discriminator()),
    ):
        assert jax.tree.map(lambda leaf: leaf.shape, network.shapes) == jax.tree.map(np.shape, params)


def test_golden_siv_gan_images_and_features(golden):
    params, vectors, _, _ = golden.flat_weights()
    images, features = jit(golden.players.generator.apply)(params, vectors, golden.z)
    for ours, theirs in zip(images, golden.images("G_out/image_"), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-5)
    for ours, theirs in zip(features, golden.images("G_out/feature_"), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-5)


@pytest.mark.parametrize("kind", ["real", "fake"])
def test_golden_siv_gan_logits(golden, kind):
    _, _, params, vectors = golden.flat_weights()
    images = golden.images("real/image_" if kind == "real" else "G_out/image_")[-golden.plan.num_blocks_low_level :]
    logits = jit(golden.players.discriminator.apply)(params, vectors, images)
    for part, ours in logits.items():
        theirs = golden.images(f"D_logits/{kind}/{PARTS[part]}_")
        assert len(ours) == len(theirs) > 0
        for mine, expected in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(mine, expected, rtol=0, atol=1e-4)
    assert set(logits) == set(PARTS)


def test_golden_siv_gan_pyramid_of_reals(golden):
    expected = golden.images("real/image_")
    for ours, theirs in zip(pyramid(jnp.asarray(expected[-1]), len(expected)), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)


def test_golden_siv_gan_generator_loss_gradients_and_adam(golden):
    params_g, vectors_g, params_d, vectors_d = golden.flat_weights()
    function = jit(jax.value_and_grad(golden.players.generator_objective, has_aux=True))
    (total, metrics), grads = function(
        params_g, params_d, vectors_g, vectors_d, golden.draws, golden.config.loss.diversity_weight
    )
    for part, name in PARTS.items():
        close(metrics[f"loss_g/{part}"], golden[f"loss/G/{name}"])
    close(-golden.config.loss.diversity_weight * metrics["diversity"], golden["loss/G/DR"])
    close(total, golden["loss/G/total"])
    check_gradients(golden, golden.players.generator, grads, params_g, "G", generator_path)


def test_golden_siv_gan_discriminator_loss_gradients_and_adam(golden):
    params_g, vectors_g, params_d, vectors_d = golden.flat_weights()
    reals = golden.images("real/image_")[-1]
    function = jit(jax.value_and_grad(golden.players.discriminator_objective, has_aux=True))
    (total, metrics), grads = function(params_d, params_g, vectors_g, vectors_d, reals, golden.draws)
    for side in ("real", "fake"):
        parts = {name: metrics[f"loss_d_{side}/{part}"] for part, name in PARTS.items()}
        for name, value in parts.items():
            close(value, golden[f"loss/D{side}/{name}"])
        close(sum(parts.values()), golden[f"loss/D{side}/total"])
    close(total, golden["loss/D/total"])
    check_gradients(golden, golden.players.discriminator, grads, params_d, "D", discriminator_path)


def test_golden_siv_gan_power_step(golden):
    params_g, vectors_g, params_d, vectors_d = golden.flat_weights()
    for network, params, vectors, (_, after) in (
        (golden.players.generator, params_g, vectors_g, golden.generator("train_mode/G_state_after/")),
        (golden.players.discriminator, params_d, vectors_d, golden.discriminator("train_mode/D_state_after/")),
    ):
        ours = jit(network.power_step)(params, vectors)
        np.testing.assert_allclose(ours, flat.joined(after), rtol=0, atol=2e-6)
        assert np.abs(ours - vectors).max() > 1e-5


def close(ours, theirs, tolerance=1e-5):
    assert abs(float(ours) - float(theirs)) <= tolerance * abs(float(theirs)), (float(ours), float(theirs))


def check_gradients(golden, network, grads, params, which, path_of, least=21):
    """Gradients, and the parameters after one Adam step from them, per tensor of the original."""
    optim = golden.config.optim
    optimizer = adam.make_optimizer(optim.lr_g, optim.beta1, optim.beta2, optim.eps)
    stepped, _ = jit(lambda g, p: adam.optimizer_step(optimizer, g, optimizer.init(p), p))(grads, params)
    tree, after_tree = map(flat.unraveller(network.shapes), (grads, stepped))
    compared = 0
    for name, theirs in golden.under(f"grad_{which}/").items():
        layer, tensor = name.rsplit(".", 1)
        path, leaf = path_of(layer), "bias" if tensor == "bias" else "kernel"
        ours, after = (in_original_order(part, path, leaf) for part in (tree, after_tree))
        full = f"grad_{which}/{name}"
        if full in golden.no_gradient:
            assert np.abs(ours).max() == 0, f"{full}: its true gradient is zero"
            continue
        exact = golden.double.get(full, theirs)
        assert np.linalg.norm(ours - exact) <= 1e-3 * np.linalg.norm(exact), full
        # Adam's first step is nearly lr * sign(g): where g is rounding noise so is the sign.
        clear = np.abs(exact) > 1e-5 * np.abs(exact).max()
        if f"adam_{which}/{name}" in golden.arrays:
            assert np.abs(after - golden[f"adam_{which}/{name}"])[clear].max() <= 2e-6, full
        compared += 1
    assert compared >= least


def in_original_order(tree: dict, path: tuple[str, ...], leaf: str) -> np.ndarray:
    """A parameter or gradient of this package in the original's axis order."""
    array = np.asarray(functools.reduce(lambda part, key: part[key], (*path, leaf), tree))
    if leaf == "bias":
        return array
    return array.transpose(0, 3, 1, 2) if path == ("dense",) else array.transpose(3, 2, 0, 1)
