"""Parity with the original ConSinGAN: whole trainings from its draws, and everything else that its arrays hold."""

import functools
import math
import re

import consingan_arrays as arrays_of
import golden as golden_files
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from consingan_arrays import Training, discriminator, generator, load, nhwc, trainings

from siv_jax.models.consingan import parts, tile_shuffle
from siv_jax.models.consingan.config import ModelConfig
from siv_jax.models.consingan.plan import make_plan
from siv_jax.models.consingan.sampler import FIRST_STEP, Sampler, scaled_sizes
from siv_jax.models.consingan.stage import AMPLITUDE
from siv_jax.nn import adam, flat, pyramid_resize
from siv_jax.nn.walk import walk

NAMES = golden_files.names(arrays_of.belongs)
TRAININGS = [(name, key) for name in NAMES for key in trainings(name)]
STAGES = [(name, key, stage) for name, key in TRAININGS for stage in range(len(trainings(name)[key].stages))]
# Most of the time is compilation; the networks are tiny.
OPTIONS = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
jit = functools.partial(jax.jit, compiler_options=OPTIONS)


def with_key(pattern: str) -> list:
    """(file, what the pattern's group found) for every file that has such arrays."""
    found = {(name, match[1]) for name in NAMES for match in map(re.compile(pattern).match, load(name).arrays) if match}
    return sorted(found)


def with_prefix(prefix: str) -> list[str]:
    return [name for name in NAMES if load(name).under(prefix)]


@pytest.mark.parametrize(("name", "key"), TRAININGS)
def test_golden_consingan_pyramid(name, key):
    training = trainings(name)[key]
    for stage, ours in enumerate(training.reals):
        theirs = training.real(stage)
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4)
    pinned = golden_files.about(name)["sizes_HxW"]
    assert list(map(list, training.plan.sizes)) == (pinned[key[:-1]] if isinstance(pinned, dict) else pinned)


@functools.cache
def compiled(name: str, key: str, stage: int):
    return jit(trainings(name)[key].stages[stage].update)


def start(training: Training, stage: int, vectors: dict, params_d: np.ndarray, amplitudes: np.ndarray):
    """The state before a stage, from the weights and amplitudes after the stage before."""
    this = training.stages[stage]
    if stage > 0:
        vectors = vectors | {f"body_{stage}": vectors[f"body_{stage - 1}"]}
        amplitude = this.amplitude(vectors, training.fixed(stage), amplitudes, training.reals[stage])
        amplitudes = np.append(amplitudes, amplitude)
    return this.with_new_optimizers(vectors, params_d, training.fixed(stage), amplitudes)


@functools.cache
def replayed(name: str, key: str, stage: int):
    """The state after all steps up to the last of a stage, and the losses of this stage's steps."""
    training, losses = trainings(name)[key], []
    if stage == 0:
        state = start(training, 0, *training.weights(0, "init"), np.ones(1, np.float32))
    else:
        before = replayed(name, key, stage - 1)[0]
        state = start(training, stage, before.vectors, before.params_d, before.amplitudes)
    for draws in training.draws(stage):
        state, metrics = compiled(name, key, stage)(state, {"real": training.reals[stage]}, draws.noises[0], draws)
        losses.append(metrics)
    return state, losses


@pytest.mark.parametrize(("name", "key", "stage"), STAGES)
def test_golden_consingan_replay(name, key, stage):
    training = trainings(name)[key]
    last, losses = replayed(name, key, stage)
    np.testing.assert_allclose(last.amplitudes, training.amplitudes(stage), rtol=1e-4)
    assert len(losses) == training.config.num_steps
    rows = training.arrays.arrays.get(training.name(stage, "train_loss_D"))
    if rows is not None:
        names = ("loss_d/real", "loss_d/fake", "loss_d/gradient_penalty")
        ours = np.array([[step[of] for of in names] for step in losses])
        theirs = rows.reshape(len(losses), -1, 3).mean(axis=1)
        np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=2e-3)
    compare_weights(training, stage, "final/{}/", last, 1e-4)


@pytest.mark.parametrize(("name", "key", "stage"), STAGES)
def test_golden_consingan_first_step(name, key, stage):
    """From the original's own weights before the stage."""
    training = trainings(name)[key]
    weights = training.weights(stage - 1) if stage else training.weights(0, "init")
    begun = start(training, stage, *weights, training.amplitudes(max(stage - 1, 0)))
    draws = training.draws(stage)[0]
    first, _ = compiled(name, key, stage)(begun, {"real": training.reals[stage]}, draws.noises[0], draws)
    check_first_step(training, stage, begun, first)


def check_first_step(training: Training, stage: int, begun, first):
    """The generator's gradient, from Adam's first moment, and both networks after the updates of the first step."""
    optim = training.config.optim
    moments = first.opt_g[0][0].mu
    share = 1 - optim.beta1**optim.updates_g  # all updates had one gradient
    theirs = training.first_gradients(stage)
    assert theirs
    for part, ours in moments.items():
        shapes = training.generator.part(part).shapes
        compare_trees(training, flat.unraveller(shapes)(ours / share), theirs[part], 1e-3)
    compare_weights(training, stage, f"it0/param_{{}}/after_step{optim.updates_g}/", first, 1e-5)
    for part, vector in first.vectors.items():
        assert (part in moments) == bool(np.abs(np.asarray(vector) - begun.vectors[part]).max() > 0), part


def compare_trees(training: Training, ours: dict, theirs: dict, tolerance: float):
    """Leaves by the norm of the difference; what has no true gradient, biases before a batch norm, is left out."""
    for (path, exact), found in zip(jax.tree_util.tree_leaves_with_path(theirs), jax.tree.leaves(ours), strict=True):
        if training.config.model.batch_norm and path[-1].key == "bias" and len(path) > 2:
            continue
        norm = np.linalg.norm(exact)
        assert np.linalg.norm(found - exact) <= tolerance * norm + 1e-7, jax.tree_util.keystr(path)


def compare_weights(training: Training, stage: int, when: str, state, tolerance: float):
    """Both networks within 2e-3, and each tensor's median within `tolerance`; {} of `when` is their letter."""
    prefixes = [when.format(which) for which in "GD"]
    compared = 0
    for prefix, vectors in zip(prefixes, (state.vectors, {"D": state.params_d}), strict=True):
        tensors = training.under(stage, prefix)
        theirs = {"D": arrays_of.discriminator_tree(tensors)} if "D" in vectors else arrays_of.tree(tensors)
        assert theirs.keys() == vectors.keys()
        for part, tree in theirs.items():
            shapes = training.discriminator.shapes if part == "D" else training.generator.part(part).shapes
            ours = flat.unraveller(shapes)(vectors[part])
            for (path, exact), found in zip(
                jax.tree_util.tree_leaves_with_path(tree), jax.tree.leaves(ours), strict=True
            ):
                if unclear(training, part, path):
                    continue
                difference = np.abs(found - exact)
                # Where a gradient is next to nothing, its sign, and so Adam's step, is rounding noise.
                assert difference.max() <= 2e-3 and np.median(difference) <= tolerance, (part, path)
                compared += 1
    assert compared > 10


def unclear(training: Training, part: str, path) -> bool:
    """Whether a parameter has no true gradient, as it cancels or is centred: Adam's steps are then rounding noise."""
    names = [key.key for key in path]
    if names[-1] != "bias":
        return False
    if part == "D":  # the last bias cancels in real - fake; where few positions are cut, those before it do nearly
        return names[0] in ("conv", "block_3")
    return training.config.model.batch_norm and part != "tail"


@functools.cache
def probe_functions(name: str, key: str, stage: int):
    """The outputs, losses and gradients of one stage as one compiled function of its weights and noises."""
    training = trainings(name)[key]
    this, config = training.stages[stage], training.config

    def run(vectors, params_d, amplitudes, noises, fixed, real, alpha):
        make = training.generator

        def of_generator(vectors):
            fake, rebuilt = make(vectors, amplitudes, noises), make(vectors, amplitudes, fixed)
            adversarial = -jnp.mean(training.discriminator.apply(params_d, fake))
            rebuilding = config.loss.reconstruction * jnp.mean(jnp.square(rebuilt - real))
            return adversarial + rebuilding, (fake, rebuilt, adversarial, rebuilding)

        (_, (fake, rebuilt, *losses_g)), grad_g = jax.value_and_grad(of_generator, has_aux=True)(vectors)
        of_d = functools.partial(this.discriminator_loss, real=real, fake=fake, alpha=alpha)
        (_, losses_d), grad_d = jax.value_and_grad(of_d, has_aux=True)(params_d)
        grad_gp = jax.grad(lambda params: of_d(params)[1]["loss_d/gradient_penalty"])(params_d)
        maps = [training.discriminator.apply(params_d, pictures) for pictures in (real, fake)]
        return fake, rebuilt, maps, losses_g, losses_d, grad_g, grad_d, grad_gp

    return jit(run)


PROBES = [stage for stage in STAGES if load(stage[0]).under(f"s{stage[2]}/probe/")]


@pytest.mark.parametrize(("name", "key", "stage"), PROBES)
def test_golden_consingan_losses_and_gradients(name, key, stage):
    training, arrays = trainings(name)[key], load(name)
    vectors, params_d = training.weights(stage)
    fixed = training.fixed(stage)
    fixed = [fixed[0], *(noise[None] for noise in fixed[1:])]
    noises = [nhwc(arrays[f"probe/noise/{number}"]) for number in range(stage + 1)]
    alpha = np.float32(
        float(re.search(r"alpha (\S+);", golden_files.about(name)["arrays"][f"s{stage}/probe/D_real"]["what"])[1])
    )
    real = training.reals[stage]
    fake, rebuilt, maps, losses_g, losses_d, grad_g, grad_d, grad_gp = probe_functions(name, key, stage)(
        vectors, params_d, training.amplitudes(stage), noises, fixed, real, alpha
    )
    probe = f"s{stage}/probe/"
    pictures = {"G_fake": fake, "G_rec": rebuilt, "D_real": maps[0], "D_fake": maps[1]}
    for what, ours in pictures.items():
        np.testing.assert_allclose(ours, nhwc(arrays[probe + what]), rtol=0, atol=1e-4, err_msg=what)
    losses = dict(zip(("G_adv", "G_rec"), losses_g, strict=True))
    losses |= {"D_real": losses_d["loss_d/real"], "D_fake": losses_d["loss_d/fake"]}
    losses |= {"gp": losses_d["loss_d/gradient_penalty"]}
    scale = max(abs(float(arrays[f"{probe}loss/{what}"])) for what in losses)
    for what, ours in losses.items():
        theirs = arrays.double.get(f"{probe}loss/{what}", arrays[f"{probe}loss/{what}"])
        assert abs(float(ours) - float(theirs)) <= 1e-4 * abs(float(theirs)) + 1e-6 * scale, what
    no_gradient = set(golden_files.about(name).get("zero_gradients_in_float64", ()))
    trees = {"grad_G": {part: flat.unraveller(training.generator.part(part).shapes)(grad_g[part]) for part in grad_g}}
    for what, vector in (("grad_D", grad_d), ("grad_gp", grad_gp)):
        trees[what] = flat.unraveller(training.discriminator.shapes)(vector)
    for what, tree in trees.items():
        check_gradients(arrays, f"{probe}{what}/", tree, no_gradient, of_d=what != "grad_G")


def check_gradients(arrays, prefix: str, tree: dict, no_gradient: set[str], of_d: bool):
    """Each tensor's gradient within 1e-3 of its float64 twin, where there is one."""
    tensors = arrays.under(prefix)
    largest = max(np.abs(tensor).max() for tensor in tensors.values())
    for name, theirs in tensors.items():
        keys = arrays_of.discriminator_place(name) if of_d else arrays_of.generator_place(name)
        found = np.asarray(functools.reduce(lambda part, step: part[step], keys, tree))
        exact = arrays_of.ours(arrays.double.get(prefix + name, theirs))
        if prefix + name in no_gradient:
            assert np.abs(found).max() <= 1e-5 * largest, prefix + name
        else:
            assert np.linalg.norm(found - exact) <= 1e-3 * np.linalg.norm(exact), prefix + name


@functools.cache
def sampling(name: str, key: str):
    """A compiled function from noises to the pictures of the last stage, with its final weights."""
    training = trainings(name)[key]
    last = len(training.stages) - 1
    vectors, _ = training.weights(last)
    return jit(functools.partial(training.generator, vectors, training.amplitudes(last)))


SAMPLES = [(name, key, what) for name, key in TRAININGS for what in trainings(name)[key].samples()]


@pytest.mark.parametrize(("name", "key", "what"), SAMPLES)
def test_golden_consingan_samples(name, key, what):
    training = trainings(name)[key]
    noises, expected = training.samples()[what]
    np.testing.assert_allclose(sampling(name, key)(noises), expected, rtol=0, atol=1e-4)
    factors = {"wide": (1.0, 1.5), "tall": (1.3, 0.8)}.get(what)
    if factors:
        shapes = training.generator.noise_shapes(scaled_sizes(training.plan, factors))
        assert shapes == [noise.shape[1:] for noise in noises]


@pytest.mark.parametrize(("name", "key"), TRAININGS)
def test_golden_consingan_sampler(name, key):
    """What the sampler makes of weights and one flat vector, where the picture's own noise stands below a scale."""
    training = trainings(name)[key]
    last = len(training.stages) - 1
    vectors, params_d = training.weights(last)
    fixed = training.fixed(last)
    weights = {"generator": vectors, "fixed": fixed, "amplitudes": training.amplitudes(last), "discriminator": params_d}
    sampler = Sampler(training.plan, training.config.model)
    native = training.samples().get("native") or training.samples()["start2"]
    vector = np.concatenate([np.asarray(noise).ravel() for noise in native[0]])[None]
    start = 2 if "start2" in training.samples() and "native" not in training.samples() else 0
    ours = jit(functools.partial(sampler.draw, start_scale=start))(weights, vector).images
    np.testing.assert_allclose(ours, native[1], rtol=0, atol=1e-4)


WALKS = [(name, key) for name, key in TRAININGS if trainings(name)[key].walk()]


@pytest.mark.parametrize(("name", "key"), WALKS)
def test_golden_consingan_animation(name, key):
    training = trainings(name)[key]
    draws, frames, about = training.walk()
    strength, smoothness, start = (
        float(re.search(rf"{word} (\.?\d[\d.]*)", about)[1].rstrip("."))
        for word in ("alpha", "beta", "start (?:stage|scale)")
    )
    fixed = training.fixed(len(training.stages) - 1)
    fixed = [fixed[0], *(noise[None] for noise in fixed[1:])]
    shapes = [noise.shape for noise in fixed]
    unmoved = sum(map(math.prod, shapes[: int(start)]))
    steps, scalars = np.stack(list(map(flat.joined, draws))), map(np.float32, (FIRST_STEP, strength, smoothness))
    walked = walk(flat.joined(fixed), steps, unmoved, *scalars)
    assert len(walked) > 1
    for ours, theirs in zip(walked, frames, strict=True):
        picture = np.asarray(sampling(name, key)(flat.cut(ours, shapes)))[0]
        if "uint8" in about:  # truncated
            difference = np.abs(np.trunc(255 * np.clip((picture + 1) / 2, 0, 1)) - theirs.astype(np.float64))
            assert difference.max() <= 1 and difference.mean() < 0.01
        else:
            np.testing.assert_allclose(picture, theirs, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", with_prefix("editing/"))
def test_golden_consingan_tiles(name):
    arrays = load(name)
    picture, rows = arrays["editing/image_in"], arrays["editing/draws"]
    height, width = picture.shape[:2]
    count = int(rows[0, 3])
    sizes, shifts = (of[count - 1] for of in tile_shuffle.limits(height, width))
    drawn = rows[1:].reshape(count, 7, 4)
    wanted = np.array([[[0, side] for side in (height, width)], sizes.T, shifts.T]).reshape(6, 2)
    np.testing.assert_array_equal(drawn[:, :6, 1:3], np.broadcast_to(wanted, (count, 6, 2)))
    tiles = np.zeros((tile_shuffle.MOST, 3, 2), np.int32)
    tiles[:count] = drawn[:, :6, 3].reshape(count, 3, 2)
    forward = np.zeros(tile_shuffle.MOST, bool)
    forward[:count] = drawn[:, 6, 3] > 0.5
    shuffled = tile_shuffle.shuffle(picture, tile_shuffle.Tiles(np.int32(count), *tiles.swapaxes(0, 1), forward))
    np.testing.assert_array_equal(shuffled, arrays["editing/image_out"])


@pytest.mark.parametrize(("name", "variant"), with_key(r"variant/([^/]+)/out"))
def test_golden_consingan_variant(name, variant):
    arrays, settings = load(name), golden_files.about(name)["config"]
    mode, activation, norm = re.fullmatch(r"(\w+)_(\w+)_bn([01])", variant).groups()
    under = {key: arrays.under(f"variant/{variant}/{key}/") for key in ("G", "D", "noise")}
    model = ModelConfig(
        mode=mode,
        width=settings["nfc"],
        num_stages=settings["train_stages"],
        min_size=settings["min_size"],
        activation=activation,
        slope=0.3,
        batch_norm=norm == "1",
        as_run=True,
    )
    picture = nhwc(arrays["picture/input"])
    plan = make_plan(*picture.shape[1:3], picture.shape[3], settings["max_size"], model)
    np.testing.assert_array_equal(plan.sizes, arrays[f"variant/{variant}/sizes"])
    first = f"variant/{variant}/real0"
    if first in arrays.arrays:
        at_full = pyramid_resize.by_factor(picture, plan.first_factor)
        np.testing.assert_allclose(
            pyramid_resize.by_factor(at_full, plan.factors[0]), nhwc(arrays[first]), rtol=0, atol=1e-4
        )
    noises = [nhwc(under["noise"][str(number)]) for number in range(len(under["noise"]))]
    make, critic = parts.Generator(model, plan.channels), parts.discriminator(plan, model)
    amplitudes = np.array([1.0, *[0.3] * (len(noises) - 1)], np.float32)
    pictures = jit(make)(generator(under["G"]), amplitudes, noises)
    np.testing.assert_allclose(pictures, nhwc(arrays[f"variant/{variant}/out"]), rtol=0, atol=1e-4)
    theirs = nhwc(arrays[f"variant/{variant}/D_out"])
    ours = jit(critic.apply)(discriminator(under["D"]), pictures)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4 * max(1, np.abs(theirs).max()))


@pytest.mark.parametrize("name", with_prefix("G_state/"))
def test_golden_consingan_single_step(name):
    """One trained network of a file: outputs of every stage, other sizes, losses, gradients, one Adam step."""
    arrays, about = load(name), golden_files.about(name)
    single = arrays_of.single(name)
    for stage in range(len(single.noises)):
        ours = jit(single.generator)(single.vectors, single.amplitudes, single.noises[: stage + 1])
        np.testing.assert_allclose(ours, nhwc(arrays[f"G_out_stages/{stage}"]), rtol=0, atol=1e-4)
    make = jit(functools.partial(single.generator, single.vectors, single.amplitudes))
    for what, noises in (("random", single.noises), ("reconstruction", single.fixed), ("wide", single.wide)):
        np.testing.assert_allclose(make(noises), nhwc(arrays[f"G_out/{what}"]), rtol=0, atol=1e-4)
    rebuilt = make([*single.fixed[:-1], np.zeros_like(single.fixed[-1])])
    assert rebuilt.shape == single.reals[-1].shape and single.amplitudes[0] == 1 and AMPLITUDE == 0.1
    for real, theirs in zip(single.reals, arrays.images("reals/"), strict=True):
        np.testing.assert_allclose(real, theirs, rtol=0, atol=1e-4)
    assert list(map(list, single.plan.sizes)) == about["sizes_HxW"]
    alpha = np.float32(float(re.search(r"alpha = (\.\d+)", about["arrays"]["loss"]["what"])[1]))
    fake = np.asarray(make(single.noises))

    def of_discriminator(params):
        return single.stage.discriminator_loss(params, single.reals[-1], fake, alpha)

    def of_generator(vectors):
        fake, rebuilt = (single.generator(vectors, single.amplitudes, of) for of in (single.noises, single.fixed))
        parts = -jnp.mean(single.critic.apply(single.params_d, fake)), jnp.mean(jnp.square(rebuilt - single.reals[-1]))
        return parts[0] + single.config.loss.reconstruction * parts[1], parts

    (_, losses), grad_d = jit(jax.value_and_grad(of_discriminator, has_aux=True))(single.params_d)
    (_, (adversarial, error)), grad_g = jit(jax.value_and_grad(of_generator, has_aux=True))(single.vectors)
    ours = [losses[f"loss_d/{part}"] for part in ("real", "fake", "gradient_penalty")]
    ours += [adversarial, single.config.loss.reconstruction * error]
    np.testing.assert_allclose(ours, arrays["loss_f64"], rtol=1e-4, atol=1e-6)
    check_gradients(arrays, "D_grad/", flat.unraveller(single.critic.shapes)(grad_d), single.no_gradient, of_d=True)
    trees = {part: flat.unraveller(single.generator.part(part).shapes)(grad_g[part]) for part in grad_g}
    check_gradients(arrays, "G_grad/", trees, single.no_gradient, of_d=False)
    check_single_adam(single, arrays, grad_d, grad_g)


def check_single_adam(single, arrays, grad_d, grad_g):
    """D after one update, G after three with the same gradient: from the file's own gradients."""
    stage = single.stage
    theirs_d = discriminator(arrays.under("D_grad/"))
    state = adam.initial(stage._optimizer_d, single.params_d)
    after, _ = adam.optimizer_step(stage._optimizer_d, theirs_d, state, single.params_d)
    np.testing.assert_allclose(after, discriminator(arrays.under("D_after_adam/")), rtol=0, atol=1e-6)
    theirs_g = {part: vector for part, vector in generator(arrays.under("G_grad/")).items() if part in stage._shares}
    trained = {part: single.vectors[part] for part in theirs_g}
    state = adam.initial(stage._optimizer_g, trained)
    for _ in range(single.config.optim.updates_g):
        trained, state = adam.optimizer_step(stage._optimizer_g, theirs_g, state, trained)
    for part, vector in generator(arrays.under("G_after_adam/")).items():
        np.testing.assert_allclose(trained[part], vector, rtol=0, atol=1e-6, err_msg=part)
    assert set(trained) == set(generator(arrays.under("G_after_adam/")))
