"""Adam under strict dtype promotion."""

import jax
import numpy as np
import optax


def make_optimizer(learning_rate: float, beta1: float, beta2: float, eps: float) -> optax.GradientTransformation:
    """Adam."""
    return optax.adam(learning_rate, b1=beta1, b2=beta2, eps=eps)


def optimizer_step(optimizer: optax.GradientTransformation, grads, opt_state: optax.OptState, params):
    """(params, opt_state) after one update from `grads`."""
    # optax's bias correction raises a float to an integer power, which strict promotion refuses.
    with jax.numpy_dtype_promotion("standard"):
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state


def initial(optimizer: optax.GradientTransformation, params) -> optax.OptState:
    """The optimizer's state before the first step: zeros throughout, made without compiling anything."""
    return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), jax.eval_shape(optimizer.init, params))
