"""Parity with the original OSMIS on its own weights after some training steps, and on the draws of its augmentation."""

import functools

import golden as golden_files
import jax
import jax.numpy as jnp
import numpy as np
import osmis_as_run as as_run
import pytest
from test_golden_siv_gan import check_gradients, close, discriminator_path, generator_path

from siv_jax.models.osmis import layout_augment, networks, objectives, original_weights, pair_augment
from siv_jax.models.osmis.config import AugmentConfig, Config, LossConfig, ModelConfig
from siv_jax.models.osmis.objectives import Draws, Pairs, Players
from siv_jax.nn import flat
from siv_jax.nn.two_branch.feature_augment import augment_content
from siv_jax.nn.two_branch.original_weights import convolution
from siv_jax.nn.two_branch.plan import make_plan
from siv_jax.train.devices import compiler_options

PARTS = {"low_level": "low-level", "content": "content", "layout": "layout"}
WAYS = {"argmax": False, "bernoulli": True}
NO_DRAWS = dict.fromkeys(("z_moved", "decisions", "warp", "mix_content", "mix_layout", "frames"))
jit = functools.partial(jax.jit, compiler_options=compiler_options())


def belongs(name: str, about: dict) -> bool:
    return name.startswith("osmis") or about.get("system", "").startswith("OSMIS")


class Golden(golden_files.Arrays):
    def __init__(self, name: str):
        super().__init__(name)
        about = golden_files.about(name)
        settings, losses = about["config"], about["config"].get("lambdas", {})
        height, width = self["G_out/mask"].shape[2:]
        self.config = Config(
            batch_size=settings.get("batch", len(self["z"])),
            model=ModelConfig(
                ch_g=int(settings["ch_G"]),
                ch_d=int(settings["ch_D"]),
                noise_dim=self["z"].shape[1],
                num_blocks_g=settings["num_blocks_g"],
                num_blocks_d=settings["num_blocks_d"],
                num_blocks_low_level=settings["num_blocks_d0"],
            ),
            loss=LossConfig(adversarial=settings.get("loss_mode", "bce"), diversity_weight=losses.get("DR", 0.15)),
            augment=AugmentConfig(image=0.0, feature=0.0),
        )
        made = make_plan(height, width, self["real/image_0"].shape[1], max(height, width), self.config.model)
        assert (made.height, made.width) == (height, width)
        self.classes = self["G_out/mask"].shape[1]
        self.plan = networks.Plan(**vars(made), num_classes=self.classes)
        self.players = Players(self.plan, self.config, jnp.float32)
        zero = about.get("zero_gradients_in_float64", [])
        self.no_gradient = set(zero["names"] if isinstance(zero, dict) else zero)
        self.z = self["z"].reshape(len(self["z"]), -1)
        cases = about.get("unit_cases", {}).get("cases", [])
        self.cases = {case["case"]: case for case in cases}

    def draws(self, by_chance: bool) -> Draws:
        """Uniform numbers that give the stored Bernoulli draw where they count."""
        size = (len(self.z), *networks.feature_size(self.plan), self.classes)
        uniform = np.zeros((2, *size), np.float32)
        if by_chance:
            uniform[:] = np.where(nhwc(self["bernoulli/mask_hard"]) > 0.5, 0.0, 0.9999)
        return Draws(z_g=self.z, z_d=self.z, bernoulli=uniform, by_chance=np.bool_(by_chance), **NO_DRAWS)

    @functools.cached_property
    def flat_weights(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """params_g, vectors_g, params_d, vectors_d."""
        params_g, vectors_g = original_weights.generator(self.under("G_state/"))
        tensors, params_d, vectors_d = self.under("D_state/"), {}, {}
        for name in {key.rsplit(".", 1)[0] for key in tensors}:
            layer = convolution(tensors, name, "a discriminator")
            for tree, value in zip((params_d, vectors_d), layer, strict=True):
                *folders, last = discriminator_path(name)
                functools.reduce(lambda part, key: part.setdefault(key, {}), folders, tree)[last] = value
        self.shapes = params_g, params_d
        return tuple(map(flat.joined, (params_g, vectors_g, params_d, vectors_d)))


def nhwc(array: np.ndarray) -> np.ndarray:
    return array.transpose(0, 2, 3, 1)


def path_g(name: str) -> tuple[str, ...]:
    return ("to_mask",) if name == "mask_converter" else generator_path(name)


load = functools.cache(Golden)


@pytest.fixture(params=golden_files.names(belongs))
def golden(request) -> Golden:
    return load(request.param)


def test_golden_osmis_shapes_of_parameters(golden):
    assert golden.flat_weights
    for network, params in zip((golden.players.generator, golden.players.discriminator), golden.shapes, strict=True):
        assert jax.tree.map(lambda leaf: leaf.shape, network.shapes) == jax.tree.map(np.shape, params)


def test_golden_osmis_images_features_and_mask(golden):
    params, vectors, _, _ = golden.flat_weights
    images, features, mask = jit(golden.players.generator.apply)(params, vectors, golden.z)
    for ours, theirs in zip(images, golden.images("G_out/image_"), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4)
    for i, theirs in enumerate(golden.images("G_out/feature_")):
        np.testing.assert_allclose(features[i][: len(theirs)], theirs, rtol=0, atol=1e-4)
    np.testing.assert_allclose(mask, nhwc(golden["G_out/mask"]), rtol=0, atol=1e-4)


@pytest.mark.parametrize("kind", ["real", "fake_argmax", "fake_bernoulli"])
def test_golden_osmis_logits(golden, kind):
    _, _, params, vectors = golden.flat_weights
    real, size = kind == "real", networks.feature_size(golden.plan)
    images = golden.images("real/image_" if real else "G_out/image_")[-golden.plan.num_blocks_low_level :]
    mask = networks.nearest(nhwc(golden["real/mask" if real else "G_out/mask"]), size)
    if not real:
        draws = golden.draws(WAYS[kind.removeprefix("fake_")])
        mask = objectives.hardened(mask, draws.bernoulli[0], draws.by_chance)
    if kind == "fake_bernoulli":
        np.testing.assert_allclose(mask, nhwc(golden["bernoulli/mask_hard"]), atol=1e-6)
    seen = []
    logits = jit(
        lambda images, mask: (
            golden.players.discriminator.apply(
                params, vectors, images, mask, mix_content=lambda x: seen.append(x) or x
            ),
            seen[0][:, 0, 0],
        )
    )(images, mask)
    logits, content = logits
    if f"content_vec/{kind}" in golden.arrays:
        np.testing.assert_allclose(content, golden[f"content_vec/{kind}"], rtol=0, atol=1e-5)
    for part, ours in logits.items():
        theirs = golden.images(f"D_logits/{kind}/{PARTS[part]}_")
        assert len(ours) == len(theirs) > 0
        for mine, expected in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(mine, expected, rtol=0, atol=1e-4)
    assert set(logits) == set(PARTS)


@pytest.mark.parametrize("way", WAYS)
def test_golden_osmis_generator_loss_gradients_and_adam(golden, way):
    params_g, vectors_g, params_d, vectors_d = golden.flat_weights
    function = jit(jax.value_and_grad(golden.players.generator_objective, has_aux=True))
    weight = golden.config.loss.diversity_weight
    (total, metrics), grads = function(params_g, params_d, vectors_g, vectors_d, golden.draws(WAYS[way]), weight)
    for part, name in PARTS.items():
        close(metrics[f"loss_g/{part}"], golden[f"loss/G_{way}/{name}"])
    close(-weight * metrics["diversity"], golden[f"loss/G_{way}/DR"])
    close(total, golden[f"loss/G_{way}/total"])
    prefix = "G" if way == "argmax" else "G_bernoulli"
    check(golden, golden.players.generator, grads, params_g, prefix, path_g)


def test_golden_osmis_discriminator_loss_gradients_and_adam(golden):
    params_g, vectors_g, params_d, vectors_d = golden.flat_weights
    reals = Pairs(golden.images("real/image_")[-1], nhwc(golden["real/mask"]))
    function = jit(jax.value_and_grad(golden.players.discriminator_objective, has_aux=True))
    (total, metrics), grads = function(params_d, params_g, vectors_g, vectors_d, reals, golden.draws(False))
    for side in ("real", "fake"):
        parts = {name: metrics[f"loss_d_{side}/{part}"] for part, name in PARTS.items()}
        for name, value in parts.items():
            close(value, golden[f"loss/D{side}/{name}"])
        close(sum(parts.values()), golden[f"loss/D{side}/total"])
    close(total, golden["loss/D/total"])
    check(golden, golden.players.discriminator, grads, params_d, "D", discriminator_path)


def check(golden, network, grads, params, which: str, path_of) -> None:
    """As SIV-GAN's; of the Bernoulli way a few gradients are stored, and no Adam step."""
    check_gradients(golden, network, grads, params, which, path_of, least=1 if "_" in which else 21)


# Feature augmentation: the recorded draws go through the original's sequence of decisions (osmis_as_run.py), which must
# give the recorded result, and then, as the numbers of each decision, into this package's functions.


def starting(golden) -> tuple[np.ndarray, np.ndarray]:
    return nhwc(golden["fa/y"]), nhwc(golden["fa/mask"])


def replayed(golden, name: str, function, uniform: np.ndarray, **options) -> None:
    """Compares what `function` makes of the stage's input, features and mask, with the recorded result."""
    features, mask = starting(golden)
    probability = golden.cases[f"fa/{name}"]["prob"]
    places = jit(lambda uniform, mask: function(uniform, mask, probability, **options))(uniform, mask)
    for ours, what in ((features, "y"), (mask, "mask")):
        np.testing.assert_array_equal(layout_augment.taken(ours, places), nhwc(golden[f"fa/{name}/{what}"]))


def case(golden, name: str) -> dict:
    if name not in golden.cases:
        pytest.skip(f"no case {name} in this file")
    return golden.cases[name]


def test_golden_osmis_copied_background(golden):
    features, mask = starting(golden)
    found = as_run.copied(case(golden, "fa/mix_background"), features, mask)
    np.testing.assert_array_equal(found.features, nhwc(golden["fa/mix_background/y"]))
    tested = np.tile(np.arange(layout_augment.TRIES), (len(mask), 1))
    replayed(golden, "mix_background", layout_augment.copied, found.uniform, tested=tested)


def test_golden_osmis_exchanges(golden):
    features, mask = starting(golden)
    found = as_run.exchanged(case(golden, "fa/swap"), features, mask)
    np.testing.assert_array_equal(found.features, nhwc(golden["fa/swap/y"]))
    replayed(golden, "swap", layout_augment.exchanged, found.uniform, groups=as_run.pairs(len(mask)))


def test_golden_osmis_moved_objects(golden):
    features, mask = starting(golden)
    found = as_run.moved(case(golden, "fa/move_objects"), features, mask)
    np.testing.assert_array_equal(found.features, nhwc(golden["fa/move_objects/y"]))
    replayed(golden, "move_objects", layout_augment.moved, found.uniform, as_run=True)


def test_golden_osmis_content_augmentation(golden):
    """As run both members of a pair end with the second's channels; here each gets the other's."""
    drawn, content = case(golden, "fa/content"), golden["fa/content/in"][:, :, 0, 0]
    found = as_run.mixed(drawn, content)
    np.testing.assert_array_equal(found.content, golden["fa/content/out"][:, :, 0, 0])
    np.testing.assert_array_equal(found.content[found.batch :], content[found.batch :])  # objects are left alone
    even = 2 * len(found.pairs)  # as run the last sample of an odd batch is alone
    swapped = np.asarray(augment_content(found.uniform_mix[:even], content[:even, None, None], 0.5))[:, 0, 0]
    for first, second, channels in found.pairs:
        np.testing.assert_array_equal(swapped[first], found.mixed[first])
        expected = content[second].copy()
        expected[channels] = content[first][channels]
        np.testing.assert_array_equal(swapped[second], expected)
    dropped = augment_content(found.uniform_drop, found.mixed[: found.batch, None, None], 0.5)
    np.testing.assert_array_equal(np.asarray(dropped)[:, 0, 0], found.content[: found.batch])


def pair_cases(golden) -> list[dict]:
    return [case for name, case in golden.cases.items() if name.startswith("da/")]


def test_golden_osmis_pair_augmentation(golden):
    scales, mask = golden.images("da/in/image_"), nhwc(golden["da/in/mask"])
    function = jit(lambda decisions, places: pair_augment.augment(decisions, places, scales, mask, 0.5))
    for one in pair_cases(golden):
        decisions, places = as_run.pair_draws(one["draws"], len(mask))
        images, warped = function(decisions, places)
        for ours, theirs in zip(images, golden.images(f"{one['case']}/image_"), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-5, err_msg=one["case"])
        np.testing.assert_allclose(warped, nhwc(golden[f"{one['case']}/mask"]), rtol=0, atol=2e-5)
