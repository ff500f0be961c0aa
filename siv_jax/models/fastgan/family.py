"""FastGAN as a family (`siv_jax.models.interface.Family`)."""

from siv_jax.data import Source
from siv_jax.errors import UserError
from siv_jax.metrics import network_weights
from siv_jax.models.fastgan.config import Config
from siv_jax.models.fastgan.memory import estimate, parameters
from siv_jax.models.fastgan.original_weights import import_weights as import_weights
from siv_jax.models.fastgan.plan import Plan, make_plan
from siv_jax.models.fastgan.sampler import Sampler
from siv_jax.models.fastgan.step import Training
from siv_jax.nn import shared_batch

title = "FastGAN"
inputs = frozenset({"image"})
headline = {"G": "loss_g", "D": "loss_d", "reconstruction": "reconstruction"}
lighter = "batch_size, model.ch_g, model.ch_d, model.ch_decoder"
memory = estimate

# Sizes that were published; with fewer pictures than these a model repeats what it saw.
_PUBLISHED_SIZE, _FEW_PICTURES = 256, 5


def plan(config: Config, source: Source) -> Plan:
    """See `make_plan`. Raises UserError: pictures that LPIPS cannot compare."""
    if config.loss.reconstruction == "lpips" and source.channels != 3:
        raise UserError(
            f"loss.reconstruction lpips compares pictures of 3 channels and these have {source.channels}: "
            "set loss.reconstruction mse"
        )
    return make_plan(*source.size, source.channels, config.data.max_size)


def stages(config: Config, plan: Plan, shards: int = 1) -> list[Training]:
    """The one stage of training. Raises UserError: the batch cannot be shared out, or LPIPS has no weights."""
    shared_batch.require_equal_shares(config.batch_size, shards)
    if config.loss.reconstruction == "lpips":
        try:
            network_weights.require(["vgg"])
        except UserError as error:
            raise UserError(f"loss.reconstruction is lpips, but {error}; or set loss.reconstruction mse") from None
    return [Training(plan, config, shards)]


def sampler(config: Config, plan: Plan) -> Sampler:
    """The generator."""
    return Sampler(plan, config.model)


def describe(config: Config, plan: Plan, source: Source) -> list[str]:
    """Sizes of the networks, and what people should expect of the pictures' number and sizes."""
    generator, discriminator = parameters(plan, config.model)
    lines = [
        f"networks  G {generator:,} parameters, from {plan.start_width}x{plan.start_height} to "
        f"{plan.width}x{plan.height}; D {discriminator:,}, its decoders compared by {config.loss.reconstruction}"
    ]
    if plan.size < _PUBLISHED_SIZE:
        lines.append(f"note      FastGAN was published for {_PUBLISHED_SIZE} pixels and more; {plan.size} is our own")
    if max(source.size) < plan.size:
        lines.append(f"note      the pictures are enlarged from {source.size[1]}x{source.size[0]}")
    if source.num_frames < _FEW_PICTURES:
        lines.append(
            "note      of so few pictures FastGAN mostly draws copies; it is meant for a folder of 5 or more of a kind"
        )
    return lines
