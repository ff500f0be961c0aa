"""Parity with the original FastGAN on its own weights after some training steps."""

import functools
import re

import golden as golden_files
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from siv_jax.models.fastgan import original_weights
from siv_jax.models.fastgan.config import AugmentConfig, Config, LossConfig, ModelConfig
from siv_jax.models.fastgan.objectives import Draws, Players
from siv_jax.models.fastgan.original_weights import FIRST
from siv_jax.models.fastgan.plan import make_plan
from siv_jax.nn import adam, diff_augment, original_tensors, spectral_norm
from siv_jax.nn.compilation import compiler_options
from siv_jax.nn.convolution import forced_form
from siv_jax.nn.original_tensors import put

# The original's modules -> ours; a map there is named by how often smaller than the image it is.
DOWN = {"down_4": "map_128", "down_8": "map_64", "down_16": "map_32", "down_32": "map_16", "down_64": "map_8"}
EXCITE = {"se_2_16": "excite_32", "se_4_32": "excite_16", "se_8_64": "excite_8"}
PATHS = {
    "main.0": ("halve", "conv"),
    "main.1": ("halve", "norm"),
    "main.3": ("conv",),
    "main.4": ("norm",),
    "direct.1": ("shortcut",),
    "direct.2": ("shortcut_norm",),
}
ENTRY = {
    256: {"0": ("enter",)},
    512: {"0": ("enter_256", "conv")},
    1024: {"0": ("enter_512", "conv"), "2": ("enter_256", "conv"), "3": ("enter_256", "norm")},
}
JUDGE = {"0": "judge_conv", "1": "judge_norm", "3": "judge"}
SMALL = {"0": 64, "2": 32, "3": 16, "4": 8}
DECODED = {"big": "whole", "small": "small", "part": "part"}
HALVED = {"main.0": "conv", "main.1": "norm"}


def belongs(name: str, about: dict) -> bool:
    return about.get("system", "").lower().startswith("fastgan") or name.startswith("fastgan")


def formula(index: float, count: int) -> np.ndarray:
    """What the json calls the weight formula, for its j."""
    i = np.arange(count, dtype=np.float64) + 1 + 1e6 * index
    t = np.sin(12.9898 * i) * 43758.5453
    return np.float32(0.2 * (t - np.floor(t) - 0.5))


class Golden(golden_files.Arrays):
    def __init__(self, name: str):
        super().__init__(name)
        self.about = about = golden_files.about(name)
        self.settings = settings = about["config"]
        model = ModelConfig(ch_g=settings["ngf"], ch_d=settings["ndf"], noise_dim=settings["nz"], tanh="as_run")
        self.config = Config(
            batch_size=settings["batch"],
            model=model,
            loss=LossConfig(reconstruction="mse"),
            augment=AugmentConfig(policy=""),
        )
        self.plan = make_plan(settings["im_size"], settings["im_size"], 3, settings["im_size"])
        self.players = Players(self.plan, self.config, jnp.float32)
        # Large weights are not stored, but follow a formula.
        filled = about.get("formula_weights", {})
        for i, (tensor, shape) in enumerate(
            zip(filled.get("names_in_order_j", []), filled.get("shapes", []), strict=True)
        ):
            self.arrays[tensor] = formula(i, int(np.prod(shape))).reshape(shape)
        zero = about.get("zero_gradients_in_float64", [])
        self.no_gradient = set(zero.get("names", ()) if isinstance(zero, dict) else zero)
        self.noises = [
            17 * formula(100 + i, int(np.prod(shape))).reshape(shape).transpose(0, 2, 3, 1)
            for i, shape in enumerate(about["noise"]["shapes_in_injection_order"])
        ]

    @functools.cached_property
    def generator(self) -> tuple[dict, dict]:
        """Parameters and spectral-norm vectors."""
        return original_weights.trees(self.under("G_state/"))

    @functools.cached_property
    def discriminator(self) -> tuple[dict, dict]:
        layers: dict[str, dict[str, np.ndarray]] = {}
        for name, tensor in self.under("D_state/").items():
            layer, _, kind = name.rpartition(".")
            layers.setdefault(layer, {})[kind] = tensor
        params, vectors = {}, {}
        for layer, tensors in layers.items():
            path = self.discriminator_path(layer)
            if "weight_orig" in tensors:
                weight = tensors["weight_orig"]
                put(params, (*path, "kernel"), original_tensors.kernel(weight))
                pair = tensors["weight_u"], tensors["weight_v"]
                put(vectors, path, original_tensors.vectors(*pair, weight, layer))
            else:
                put(params, (*path, "scale"), tensors["weight"])
                put(params, (*path, "bias"), tensors["bias"])
        return params, vectors

    def discriminator_path(self, layer: str) -> tuple[str, ...]:
        group, _, rest = layer.partition(".")
        if group in DOWN:
            return DOWN[group], *PATHS[rest]
        if group in EXCITE:
            return EXCITE[group], {"main.1": "conv_0", "main.3": "conv_1"}[rest]
        if group == "down_from_big":
            return ENTRY[self.plan.size][rest]
        if group == "rf_big":
            return (JUDGE[rest],)
        if group == "rf_small":
            return ("judge_small",)
        if group == "down_from_small":
            index, _, part = rest.partition(".")
            return f"small_{SMALL[index]}", HALVED.get(part, "conv")
        decoder = f"decode_{DECODED[group.removeprefix('decoder_')]}"
        if found := re.fullmatch(r"main\.(\d)\.([12])", rest):
            return decoder, f"up_{int(found[1]) - 1}", {"1": "conv_0", "2": "norm_0"}[found[2]]
        return decoder, "to_image"

    @functools.cached_property
    def reals(self) -> tuple[jax.Array, jax.Array]:
        """The picture, its mirror images, and a paler copy: as many as there are in the batch."""
        image = np.float32((self["real_u8"][0].transpose(1, 2, 0) / 255.0 - 0.5) / 0.5)
        batch = [image, image[:, ::-1], image[::-1], np.float32(0.7) * image + np.float32(0.1)]
        return self.players.reals(jnp.asarray(np.stack(batch[: self.config.batch_size])), self.draws)

    @property
    def draws(self) -> Draws:
        logits = self.config.batch_size, self.plan.num_logits
        return Draws(
            z=self["z"].reshape(len(self["z"]), -1),
            noises=self.noises,
            margin_real=self.in_our_order(self["draw/label_noise_real"]).reshape(logits),
            margin_fake=self.in_our_order(self["draw/label_noise_fake"]).reshape(logits),
            quadrant=jnp.int32(self["draw/part"]),
            **dict.fromkeys(("augment_real", "augment_fake", "augment_small", "flip", "frames")),
        )

    def in_our_order(self, logits: np.ndarray) -> np.ndarray:
        """As [B, num_logits], from the large part's of all samples followed by the small part's."""
        return np.concatenate(logits.reshape(2, self.config.batch_size, -1), axis=1)

    @functools.cached_property
    def passes(self) -> dict:
        """What one step computes: images, losses, gradients, and parameters after Adam."""
        optim, players, draws = self.config.optim, self.players, self.draws
        (params_g, before_g), (params_d, before_d) = self.generator, self.discriminator

        @functools.partial(jax.jit, compiler_options=compiler_options())
        def compute(params_g, before_g, params_d, before_d, reals, draws):
            vectors_g = spectral_norm.power_step(params_g, before_g)
            first = spectral_norm.power_step(params_d, before_d)
            second = spectral_norm.power_step(params_d, first)
            fakes, backwards = jax.vjp(lambda params: players.fakes(params, vectors_g, draws), params_g)
            grads_d, metrics = jax.grad(players.discriminator_objective, has_aux=True)(
                params_d, first, second, reals, fakes, draws, None
            )
            # The original's state was reset before this pass.
            loss_g, cotangents = jax.value_and_grad(players.generator_objective)(fakes, params_d, first)
            (grads_g,) = backwards(cotangents)
            real, decoded = players.discriminator.apply(params_d, first, *reals, draws.quadrant)
            fake, _ = players.discriminator.apply(params_d, second, *fakes)
            fake_for_g, _ = players.discriminator.apply(params_d, first, *fakes)
            optimizer = adam.make_optimizer(optim.lr_g, optim.beta1, optim.beta2, optim.eps)
            stepped = [
                adam.optimizer_step(optimizer, grads, optimizer.init(params), params)[0]
                for grads, params in ((grads_g, params_g), (grads_d, params_d))
            ]
            logits = {"real": real, "fake": fake, "fake_for_G": fake_for_g}
            return {
                "fakes": fakes,
                "logits": logits,
                "decoded": decoded,
                "metrics": metrics | {"loss_g": loss_g},
                "G": (grads_g, stepped[0]),
                "D": (grads_d, stepped[1]),
            }

        # The fused form compiles in less time; test_nn_convolution.py compares the forms.
        with forced_form("fused"):
            return compute(params_g, before_g, params_d, before_d, self.reals, draws)


load = functools.cache(Golden)


@pytest.fixture(params=golden_files.names(belongs))
def golden(request) -> Golden:
    return load(request.param)


def test_golden_fastgan_parameters(golden):
    """All of them are there, and no others; in number as the original's."""
    for network, (params, vectors), count in (
        (golden.players.generator, golden.generator, "params_G"),
        (golden.players.discriminator, golden.discriminator, "params_D"),
    ):
        assert jax.tree.map(lambda leaf: leaf.shape, network.shapes) == jax.tree.map(np.shape, params)
        wanted = spectral_norm.shapes(network.shapes)
        assert jax.tree.map(lambda leaf: leaf.shape, wanted) == jax.tree.map(np.shape, vectors)
        assert sum(leaf.size for leaf in jax.tree.leaves(params)) == golden.settings[count]


def test_golden_fastgan_noise_shapes(golden):
    assert [noise.shape[1:3] for noise in golden.noises] == golden.plan.noise_shapes


@pytest.mark.parametrize("which", ["big", "small"])
def test_golden_fastgan_images(golden, which):
    theirs = golden[f"G_out/{which}"]
    ours = golden.passes["fakes"][which == "small"]
    close_to(thinned(ours, theirs), theirs, 1e-4)


@pytest.mark.parametrize("kind", ["real", "fake", "fake_for_G"])
def test_golden_fastgan_logits(golden, kind):
    close_to(golden.passes["logits"][kind], golden.in_our_order(golden[f"D_logits/{kind}"]), 1e-4)


@pytest.mark.parametrize("which", DECODED)
def test_golden_fastgan_reconstructions(golden, which):
    theirs = golden[f"D_rec/{which}"]
    close_to(thinned(getattr(golden.passes["decoded"], DECODED[which]), theirs), theirs, 1e-4)


def test_golden_fastgan_losses(golden):
    metrics = golden.passes["metrics"]
    ours = {
        "D_real_hinge": metrics["loss_d/real"],
        "D_fake_hinge": metrics["loss_d/fake"],
        "G": metrics["loss_g"],
    } | {f"D_rec_{theirs}": metrics[f"reconstruction/{name}"] for theirs, name in DECODED.items()}
    assert set(ours) == set(golden.under("loss/"))
    for name, theirs in golden.under("loss/").items():
        assert float(ours[name]) == pytest.approx(float(theirs), rel=1e-5, abs=1e-5), name


@pytest.mark.parametrize("which", ["G", "D"])
def test_golden_fastgan_gradients_and_adam(golden, which):
    path_of = original_weights.place if which == "G" else golden.discriminator_path
    grads, stepped = golden.passes[which]
    compared = 0
    for name, theirs in golden.under(f"grad_{which}/").items():
        full = f"grad_{which}/{name}"
        exact = golden.double.get(full, theirs)
        # A kernel of one element is 1 or -1 whatever its size, so its gradient is rounding.
        alone = exact.size == 1 and name.endswith("weight_orig")
        if full in golden.no_gradient or alone or not np.abs(exact).max():
            continue
        ours, after = (in_original_order(tree, path_of, name) for tree in (grads, stepped))
        largest = np.abs(exact).max()
        assert np.abs(ours.reshape(exact.shape) - exact).max() <= 1e-2 * largest, full
        compared += 1
        if f"adam_{which}/{name}" in golden.arrays:
            # Adam's first step is nearly lr * sign(g): where g is within the error above, so is the sign.
            clear = np.abs(exact) > 2e-2 * largest
            expected = golden[f"adam_{which}/{name}"]
            assert np.abs(after.reshape(exact.shape) - expected)[clear].max() <= 2e-6, full
    assert compared > 20
    assert set(golden.under(f"adam_{which}/")) <= set(golden.under(f"grad_{which}/"))


def in_original_order(tree: dict, path_of, name: str) -> np.ndarray:
    """A parameter or gradient of this package in the original's axis order."""
    layer, _, kind = name.rpartition(".")
    path = path_of(layer)
    array = functools.reduce(lambda part, key: part[key], path, tree)
    if kind == "bias":
        return np.asarray(array["bias"])
    if kind == "weight":
        return np.asarray(array.get("scale", array.get("weight")))
    return np.asarray(array["kernel"]).transpose((0, 3, 1, 2) if layer == FIRST else (3, 2, 0, 1))


# A case draws its numbers in the order in which its kinds of change come.
CASES = {
    "brightness": ("brightness",),
    "saturation": ("saturation",),
    "contrast": ("contrast",),
    "color": ("brightness", "saturation", "contrast"),
    "translation": ("translation",),
    "cutout": ("cutout",),
}


def test_golden_fastgan_augmentation(golden):
    images = jnp.asarray(golden["da/in"].transpose(0, 2, 3, 1))
    cases = [case for case in golden.about["unit_cases"] if case["case"].startswith("da/")]
    assert {case["case"] for case in cases} == {f"da/{name}" for name in golden.under("da/")} - {"da/in"}
    for case in cases:
        draws = iter(case["draws"])
        changed = images
        for kind in [kind for name in case["case"].removeprefix("da/").split("_") for kind in CASES[name]]:
            count = 2 if kind in ("translation", "cutout") else 1
            numbers = [next(draws)[1] for _ in range(count)]
            dtype = np.float32 if count == 1 else np.int32
            changed = getattr(diff_augment, kind)(changed, *(jnp.asarray(n, dtype) for n in numbers))
        assert next(draws, None) is None
        theirs = golden[case["case"]].transpose(0, 2, 3, 1)
        np.testing.assert_allclose(changed, theirs, rtol=0, atol=1e-5, err_msg=case["case"])


def thinned(ours: jax.Array, theirs: np.ndarray) -> np.ndarray:
    """The samples, rows and columns of `ours` [B, H, W, C] that are stored, as NCHW."""
    step = ours.shape[1] // theirs.shape[2]
    return np.asarray(ours)[: len(theirs), ::step, ::step].transpose(0, 3, 1, 2)


def close_to(ours, theirs: np.ndarray, tolerance: float) -> None:
    """Within `tolerance` of the largest value."""
    assert np.abs(np.asarray(ours) - theirs).max() <= tolerance * np.abs(theirs).max()
