"""ConSinGAN as a family (`siv_jax.models.interface.Family`)."""

from siv_jax.data import Source
from siv_jax.models.consingan import parts
from siv_jax.models.consingan.config import Config
from siv_jax.models.consingan.finetuning import FineTuning, finetuned_plan
from siv_jax.models.consingan.memory import estimate
from siv_jax.models.consingan.original_weights import import_weights as import_weights
from siv_jax.models.consingan.plan import Plan, make_plan
from siv_jax.models.consingan.sampler import Sampler
from siv_jax.models.consingan.stage import Stage
from siv_jax.nn.shared_batch import require_equal_shares

title = "ConSinGAN"
inputs = frozenset({"image"})
headline = {"G": "loss_g", "D": "loss_d", "reconstruction": "loss_g/reconstruction"}
lighter = "batch_size, model.width, model.train_depth"
memory = estimate


def plan(config: Config, source: Source) -> Plan:
    """See `make_plan`; of a fine-tuned run that of the run it starts from."""
    if config.finetune.workdir:
        return finetuned_plan(config, source)
    return make_plan(*source.size, source.channels, config.data.max_size, config.model)


def stages(config: Config, plan: Plan, shards: int = 1) -> list[Stage]:
    """One stage for each size, or the one of fine-tuning. Raises UserError where the batch cannot be shared out."""
    require_equal_shares(config.batch_size, shards)
    if config.finetune.workdir:
        return [FineTuning(plan, config, shards)]
    return [Stage(plan, config, number, shards) for number in range(plan.num_stages)]


def sampler(config: Config, plan: Plan) -> Sampler:
    """The generator."""
    return Sampler(plan, config.model)


def describe(config: Config, plan: Plan, source: Source) -> list[str]:
    """Sizes of the stages and of the networks."""
    generator, discriminator = parts.parameters(plan, config.model)
    sizes = ", ".join(f"{width}x{height}" for height, width in plan.sizes)
    if config.finetune.workdir:
        stages = f"the last of {sizes}, on from {config.finetune.workdir} for {config.finetune.image}"
    else:
        stages = f"{sizes}; {config.num_steps:,} steps each"
    return [
        f"stages    {stages}; for {config.model.mode}",
        f"networks  G {generator:,} parameters after the last stage, of which the newest {config.model.train_depth} "
        f"bodies train; D {discriminator:,}",
    ]
