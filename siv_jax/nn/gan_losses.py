"""Adversarial losses, each for one logit."""

import jax

# Each maps a logit to the loss of a sample that should count as real, or as fake.
REAL = {
    "bce": lambda logit: jax.nn.softplus(-logit),
    "hinge": lambda logit: jax.nn.relu(1.0 - logit),
    "wasserstein": lambda logit: -logit,
}
FAKE = {
    "bce": jax.nn.softplus,
    "hinge": lambda logit: jax.nn.relu(1.0 + logit),
    "wasserstein": lambda logit: logit,
}
# The generator wants its fakes to count as real: for BCE the non-saturating form.
GENERATOR = REAL | {"hinge": REAL["wasserstein"]}
