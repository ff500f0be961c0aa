"""Everything that training changes, as a few arrays."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct

from siv_jax.config import Config, ModelConfig, OptimConfig
from siv_jax.models.siv_gan.discriminator import make_discriminator
from siv_jax.models.siv_gan.generator import make_generator
from siv_jax.models.siv_gan.plan import Plan
from siv_jax.nn import spectral_norm
from siv_jax.nn.flat import Layout

_KERNEL_STD = 0.02


@struct.dataclass
class TrainState:
    """One run between two steps. Networks are float32 vectors, which `Layouts` turn into trees."""

    step: jax.Array  # int32 [], completed steps
    key: jax.Array  # uint32 [2], never advances: a step's randomness is fold_in(key, step)
    params_g: jax.Array  # [G]
    params_d: jax.Array  # [D]
    ema: jax.Array  # [G], average of params_g
    opt_g: optax.OptState  # Adam's count int32 [] and moments [G]
    opt_d: optax.OptState
    vectors_g: jax.Array  # spectral norm's u and v
    vectors_d: jax.Array


@dataclasses.dataclass(frozen=True)
class Layouts:
    """How the vectors of one network's state become trees."""

    params: Layout
    vectors: Layout

    @classmethod
    def of(cls, shapes: dict) -> "Layouts":
        """Layouts for a network whose parameters have these shapes."""
        zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), shapes)
        return cls(Layout.of(shapes), Layout.of(spectral_norm.init(zeros, np.random.default_rng(0), 0)))


def make_optimizer(learning_rate: float, config: OptimConfig) -> optax.GradientTransformation:
    """Adam as both players use it."""
    return optax.adam(learning_rate, b1=config.beta1, b2=config.beta2, eps=config.eps)


def optimizer_step(optimizer: optax.GradientTransformation, grads, opt_state: optax.OptState, params):
    """(params, opt_state) after one update from `grads`."""
    # optax's bias correction raises a float to an integer power, which strict promotion refuses.
    with jax.numpy_dtype_promotion("standard"):
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state


def init_state(plan: Plan, config: Config) -> TrainState:
    """The state before the first step, as numpy arrays.

    Weights are drawn by numpy: compiling JAX's own draws takes longer than everything else before the first
    step on a CPU. Kernels are N(0, 0.02^2), biases zero (as run).
    """
    rng = np.random.Generator(np.random.Philox(config.seed))
    shapes_g, shapes_d = generator_shapes(plan, config.model), discriminator_shapes(plan, config.model)
    params_g, params_d = _draw(shapes_g, rng), _draw(shapes_d, rng)
    layouts_g, layouts_d = Layouts.of(shapes_g), Layouts.of(shapes_d)
    vector_g, vector_d = layouts_g.params.join(params_g), layouts_d.params.join(params_d)
    return TrainState(
        step=np.zeros((), np.int32),
        key=np.array([0, config.seed], np.uint32),
        params_g=vector_g,
        params_d=vector_d,
        ema=vector_g.copy(),
        opt_g=_zeros(make_optimizer(config.optim.lr_g, config.optim), vector_g),
        opt_d=_zeros(make_optimizer(config.optim.lr_d, config.optim), vector_d),
        vectors_g=layouts_g.vectors.join(spectral_norm.init(params_g, rng)),
        vectors_d=layouts_d.vectors.join(spectral_norm.init(params_d, rng)),
    )


def generator_shapes(plan: Plan, model: ModelConfig) -> dict:
    """Tree of `jax.ShapeDtypeStruct` for the generator's parameters."""
    z = jax.ShapeDtypeStruct((1, model.noise_dim), jnp.float32)
    return jax.eval_shape(make_generator(plan, model).init, _abstract_key(), z)["params"]


def discriminator_shapes(plan: Plan, model: ModelConfig) -> dict:
    """Tree of `jax.ShapeDtypeStruct` for the discriminator's parameters."""
    images = [
        jax.ShapeDtypeStruct((1, plan.height >> i, plan.width >> i, plan.channels), jnp.float32)
        for i in reversed(range(plan.num_blocks_low_level))
    ]
    return jax.eval_shape(make_discriminator(plan, model).init, _abstract_key(), images)["params"]


def _abstract_key() -> jax.ShapeDtypeStruct:
    return jax.eval_shape(lambda: jax.random.key(0))


def _draw(shapes: dict, rng: np.random.Generator) -> dict:
    def leaf(path, shape):
        if path[-1].key == "bias":
            return np.zeros(shape.shape, np.float32)
        return rng.standard_normal(shape.shape, np.float32) * np.float32(_KERNEL_STD)

    return jax.tree_util.tree_map_with_path(leaf, shapes)


def _zeros(optimizer: optax.GradientTransformation, params: np.ndarray) -> optax.OptState:
    """Adam's state before the first step: zeros throughout, made without compiling anything."""
    return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), jax.eval_shape(optimizer.init, params))
