"""The settings of Adam for a generator and a discriminator, with the values that were run as defaults."""

from pydantic import StrictFloat

from siv_jax.config import section, setting


@section
class OptimConfig:
    lr_g: StrictFloat = setting(2e-4, "learning rate of the generator", 0.0, 1.0)
    lr_d: StrictFloat = setting(2e-4, "learning rate of the discriminator", 0.0, 1.0)
    beta1: StrictFloat = setting(0.5, "of Adam", 0.0, 0.999999)
    beta2: StrictFloat = setting(0.999, "of Adam", 0.0, 0.999999)
    eps: StrictFloat = setting(1e-8, "of Adam", 1e-30, 1.0)
