"""SinGAN as a family (`siv_jax.models.interface.Family`)."""

from siv_jax.data import Source
from siv_jax.models.singan import network
from siv_jax.models.singan.config import Config
from siv_jax.models.singan.memory import estimate
from siv_jax.models.singan.original_weights import import_weights as import_weights
from siv_jax.models.singan.plan import Plan, make_plan
from siv_jax.models.singan.sampler import Sampler
from siv_jax.models.singan.step import ScaleTraining
from siv_jax.nn import flat
from siv_jax.nn.shared_batch import require_equal_shares

title = "SinGAN"
inputs = frozenset({"image"})
headline = {"G": "loss_g", "D": "loss_d", "reconstruction": "reconstruction"}
lighter = "batch_size, model.width, model.max_width"
memory = estimate


def plan(config: Config, source: Source) -> Plan:
    """See `make_plan`."""
    return make_plan(*source.size, source.channels, config)


def stages(config: Config, plan: Plan, shards: int = 1) -> list[ScaleTraining]:
    """One stage a scale. Raises UserError where the batch cannot be shared out."""
    require_equal_shares(config.batch_size, shards)
    return [ScaleTraining(plan, config, scale, shards) for scale in range(len(plan.sizes))]


def sampler(config: Config, plan: Plan) -> Sampler:
    """The pyramid of generators."""
    return Sampler(plan, config.model)


def describe(config: Config, plan: Plan, source: Source) -> list[str]:
    """The scales, the sizes of the networks, and what is lost of a source of more than 8 bits."""
    sizes = " ".join(f"{width}x{height}" for height, width in plan.sizes)
    counts = [
        sum(flat.size(network.make(plan.channels, width, outputs).shapes) for width in plan.widths)
        for outputs in (plan.channels, 1)
    ]
    lines = [
        f"scales    {sizes} (factor {1 / plan.factor:.3f}), {config.num_steps:,} steps each",
        f"networks  {plan.widths[0]} to {plan.widths[-1]} channels, G {counts[0]:,} and D {counts[1]:,} parameters in "
        "all",
    ]
    if source.format.dtype != "uint8":
        lines.append(f"note      between scales pictures have 256 levels: the finer steps of {source.format.dtype} go")
    return lines
