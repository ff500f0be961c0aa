"""Everything that training changes, as one tree of arrays."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct

from siv_jax.config import Config, ModelConfig, OptimConfig
from siv_jax.geometry import Plan
from siv_jax.models import spectral_norm
from siv_jax.models.discriminator import make_discriminator
from siv_jax.models.generator import make_generator

_KERNEL_STD = 0.02


@struct.dataclass
class TrainState:
    """One run between two steps. All leaves are float32 unless said."""

    step: jax.Array  # int32 [], completed steps
    key: jax.Array  # uint32 [2], never advances: a step's randomness is fold_in(key, step)
    params_g: dict
    params_d: dict
    ema: dict  # average of params_g
    opt_g: optax.OptState
    opt_d: optax.OptState
    vectors_g: dict  # spectral norm's u and v
    vectors_d: dict


def make_optimizer(learning_rate: float, config: OptimConfig) -> optax.GradientTransformation:
    """Adam as both players use it."""
    return optax.adam(learning_rate, b1=config.beta1, b2=config.beta2, eps=config.eps)


def optimizer_step(
    optimizer: optax.GradientTransformation, grads: dict, opt_state: optax.OptState, params: dict
) -> tuple[dict, optax.OptState]:
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
    params_g, params_d = (_draw(shapes, rng) for shapes in parameter_shapes(plan, config))
    return TrainState(
        step=np.zeros((), np.int32),
        key=np.array([0, config.seed], np.uint32),
        params_g=params_g,
        params_d=params_d,
        ema=jax.tree.map(np.copy, params_g),
        opt_g=_zeros(make_optimizer(config.optim.lr_g, config.optim), params_g),
        opt_d=_zeros(make_optimizer(config.optim.lr_d, config.optim), params_d),
        vectors_g=spectral_norm.init(params_g, rng),
        vectors_d=spectral_norm.init(params_d, rng),
    )


def parameter_shapes(plan: Plan, config: Config) -> tuple[dict, dict]:
    """Trees of `jax.ShapeDtypeStruct` for the parameters of the generator and of the discriminator."""
    scales = [2**i for i in reversed(range(plan.num_blocks_low_level))]
    images = [
        jax.ShapeDtypeStruct((1, plan.height // scale, plan.width // scale, plan.channels), jnp.float32)
        for scale in scales
    ]
    discriminator = jax.eval_shape(make_discriminator(plan, config.model).init, _abstract_key(), images)
    return generator_shapes(plan, config.model), discriminator["params"]


def generator_shapes(plan: Plan, model: ModelConfig) -> dict:
    """Tree of `jax.ShapeDtypeStruct` for the generator's parameters."""
    z = jax.ShapeDtypeStruct((1, model.noise_dim), jnp.float32)
    return jax.eval_shape(make_generator(plan, model).init, _abstract_key(), z)["params"]


def _abstract_key() -> jax.ShapeDtypeStruct:
    return jax.eval_shape(lambda: jax.random.key(0))


def _draw(shapes: dict, rng: np.random.Generator) -> dict:
    def leaf(path, shape):
        if path[-1].key == "bias":
            return np.zeros(shape.shape, np.float32)
        return (rng.standard_normal(shape.shape, np.float32) * np.float32(_KERNEL_STD)).astype(np.float32)

    return jax.tree_util.tree_map_with_path(leaf, shapes)


def _zeros(optimizer: optax.GradientTransformation, params: dict) -> optax.OptState:
    """Adam's state before the first step: zeros throughout, made without compiling anything."""
    return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), jax.eval_shape(optimizer.init, params))
