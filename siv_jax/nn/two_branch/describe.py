"""What a plan made of the source's shape, for people."""

from siv_jax.config import Config
from siv_jax.data import Source
from siv_jax.nn.two_branch.plan import Plan, scaled_size


def lines(config: Config, plan: Plan, source: Source, parameters_g: int, parameters_d: int) -> list[str]:
    """Sizes of the networks, and where the plan leaves data.max_size."""
    found = [
        f"networks  G {plan.num_blocks_g} blocks, {parameters_g:,} parameters; D {plan.num_blocks_d} blocks "
        f"({plan.num_blocks_low_level} low-level), {parameters_d:,} parameters; noise "
        f"{plan.noise_width}x{plan.noise_height}"
    ]
    longer = max(scaled_size(*source.size, config.data.max_size))
    if longer > config.data.max_size:
        found.append(
            f"note      scaled to a longer side of {longer}, not data.max_size {config.data.max_size}: the "
            f"shorter side needs {min(scaled_size(*source.size, config.data.max_size))} pixels"
        )
    return found
