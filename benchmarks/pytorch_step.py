"""Speed of the same training step in plain PyTorch, as one JSON line: what siv_jax is compared with.

    python benchmarks/pytorch_step.py --height 192 --width 320 [--ch 32] [--batch 5] [--device cuda] [--out FILE]
    python benchmarks/train_step.py --compare pytorch.json siv_jax.json

Needs torch, which siv_jax does not. Written from the paper as one would by hand, with torch's own layers, spectral
norm and Adam: reals and fakes in passes of their own, one affine warp per sample as augmentation, nothing fused.
Feature augmentation is left out, which only makes it faster. float32 with torch's own defaults, which on a GPU let
convolutions round to TF32, as JAX's do.
"""

import itertools
import time

import torch
import torch.nn.functional as F
from measure import emit, parser_of, summary
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from siv_jax.models.siv_gan.config import ModelConfig
from siv_jax.nn.two_branch.plan import Plan, make_plan

G_WIDTHS = (8, 8, 8, 8, 8, 8, 8, 4, 2, 1)
D_WIDTHS = (1, 2, 4, 8, 8, 8, 8, 8, 8)


def conv(inputs: int, outputs: int, size: int = 3, bias: bool = True) -> nn.Module:
    layer = nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=bias)
    nn.init.normal_(layer.weight, std=0.02)
    return spectral_norm(layer)


def activated(x: torch.Tensor) -> torch.Tensor:
    return F.leaky_relu(x, 0.2)


def pooled(x: torch.Tensor) -> torch.Tensor:
    return F.avg_pool2d(x, [min(side, 2) for side in x.shape[2:]])


class GeneratorBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, upsample: bool):
        super().__init__()
        hidden = min(inputs, outputs)
        self.conv1, self.conv2 = conv(inputs, hidden), conv(hidden, outputs)
        self.shortcut, self.upsample = conv(inputs, outputs, 1, bias=False), upsample

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        def up(y):
            return F.interpolate(y, scale_factor=2) if self.upsample else y

        return self.conv2(activated(self.conv1(up(activated(x))))) + self.shortcut(up(x))


class Generator(nn.Module):
    def __init__(self, plan: Plan, ch: int, noise_dim: int):
        super().__init__()
        widths = [width * ch for width in G_WIDTHS[-(plan.num_blocks_g + 1) :]]
        self.dense = nn.ConvTranspose2d(noise_dim, widths[0], (plan.noise_height, plan.noise_width))
        self.blocks = nn.ModuleList(GeneratorBlock(a, b, i > 0) for i, (a, b) in enumerate(itertools.pairwise(widths)))
        self.to_image = nn.ModuleList(conv(width, plan.channels) for width in widths[1:])

    def forward(self, z: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        x, images, features = self.dense(z[:, :, None, None]), [], []
        for block, to_image in zip(self.blocks, self.to_image, strict=True):
            x = block(x)
            images.append(torch.tanh(to_image(x)))
            features.append(torch.tanh(x))
        return images, features


class DiscriminatorBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, first: bool = False, size: int = 3):
        super().__init__()
        hidden = min(inputs, outputs)
        self.conv1, self.conv2 = conv(inputs, hidden, size), conv(hidden, outputs, size)
        self.pools, self.first = size == 3, first
        identity = not self.pools and inputs == outputs
        self.shortcut = nn.Identity() if identity else conv(inputs, outputs, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv2(activated(self.conv1(x if self.first else activated(x))))
        shortcut = self.shortcut(x)
        return pooled(y) + pooled(shortcut) if self.pools else y + shortcut


class Discriminator(nn.Module):
    def __init__(self, plan: Plan, ch: int):
        super().__init__()
        low = plan.num_blocks_low_level
        widths = [width * ch for width in D_WIDTHS[: plan.num_blocks_d + 1]]
        joined = [0, *(width // 8 for width in widths[1:low])]
        self.from_image = nn.ModuleList(conv(plan.channels, width) for width in [widths[0], *joined[1:]])
        self.low_level = nn.ModuleList(
            DiscriminatorBlock(widths[i] + joined[i], widths[i + 1], first=i == 0) for i in range(low)
        )
        deep = list(itertools.pairwise(widths[low:]))
        self.content = nn.ModuleList(DiscriminatorBlock(a, b, size=1) for a, b in deep)
        self.layout = nn.ModuleList(DiscriminatorBlock(widths[low] if i == 0 else 1, 1) for i in range(len(deep)))
        parts = (widths[1 : low + 1], [b for _, b in deep], [1] * len(deep))
        self.logits = nn.ModuleList(nn.ModuleList(conv(width, 1, 1) for width in part) for part in parts)

    def forward(self, images: list[torch.Tensor]) -> list[list[torch.Tensor]]:
        """Logit maps of the low-level part, the content and the layout branch; images from coarse to fine."""
        x, low = self.from_image[0](images[-1]), []
        for i, block in enumerate(self.low_level):
            x = block(x if i == 0 else torch.cat([x, self.from_image[i](images[-1 - i])], 1))
            low.append(self.logits[0][i](x))
        content, layout = self._part(1, self.content, x.mean((2, 3), keepdim=True)), self._part(2, self.layout, x)
        return [low, content, layout]

    def _part(self, number: int, blocks: nn.ModuleList, x: torch.Tensor) -> list[torch.Tensor]:
        logits = []
        for block, head in zip(blocks, self.logits[number], strict=True):
            x = block(x)
            logits.append(head(x))
        return logits


def adversarial(parts: list[list[torch.Tensor]], sign: float, num_blocks: int) -> torch.Tensor:
    """As-run balance of binary cross-entropy; sign -1: should count as real, 1: as fake."""
    weights = (1 / num_blocks, 0.5 / num_blocks, 0.5 / num_blocks)
    means = (sum(F.softplus(sign * logit).mean() for logit in part) for part in parts)
    return sum(weight * mean for weight, mean in zip(weights, means, strict=True))


def diversity(features: list[torch.Tensor]) -> torch.Tensor:
    total = 0.0
    for layer in features:
        total = total + sum((layer[i] - layer[j]).abs().mean() for i, j in itertools.combinations(range(len(layer)), 2))
    return total * 2 / (len(features) * (len(features) - 1))


def augmented(images: list[torch.Tensor]) -> list[torch.Tensor]:
    """Each sample through one random affine map at all scales."""
    batch = len(images[0])
    scale, shift = 0.75 + 0.25 * torch.rand(batch, 1), 0.3 * (2 * torch.rand(batch, 2, 1) - 1)
    maps = torch.cat([torch.diag_embed(scale.repeat(1, 2)), shift], 2)
    warp = {"padding_mode": "reflection", "align_corners": False}
    return [F.grid_sample(x, F.affine_grid(maps, x.shape, align_corners=False), **warp) for x in images]


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--threads", type=int, default=2, help="of the CPU")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--steps", type=int, default=1, help="steps per timed window")
    parser.add_argument("--windows", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.set_default_device(given.device)
    model = ModelConfig(ch_g=given.ch, ch_d=given.ch)
    plan = make_plan(given.height, given.width, 3, max(given.height, given.width), model)
    step = make_step(plan, model, given.batch)
    timed(step, 3)  # to warm up, and for cuDNN to choose its programs
    seconds = [timed(step, given.steps) / given.steps for _ in range(given.windows)]
    name = torch.cuda.get_device_name() if given.device == "cuda" else "cpu"
    result = {"benchmark": "pytorch_step", "device": name, "torch": torch.__version__, "threads": given.threads}
    result |= {"size": [plan.height, plan.width], "ch": given.ch, "batch": given.batch, "dtype": "float32"}
    emit(result | {"steps_per_second": summary([1 / value for value in seconds])}, given.out)


def make_step(plan: Plan, model: ModelConfig, batch: int):
    """A function of nothing that trains both players once."""
    generator, discriminator = Generator(plan, model.ch_g, model.noise_dim), Discriminator(plan, model.ch_d)
    adam_g, adam_d = (torch.optim.Adam(net.parameters(), 2e-4, (0.5, 0.999)) for net in (generator, discriminator))
    low = plan.num_blocks_low_level
    real = 2 * torch.rand(1, plan.channels, plan.height, plan.width) - 1

    def step() -> None:
        images, features = generator(torch.randn(batch, model.noise_dim))
        discriminator.requires_grad_(False)
        loss = adversarial(discriminator(augmented(images[-low:])), -1, plan.num_blocks_d) - 0.15 * diversity(features)
        adam_g.zero_grad()
        loss.backward()
        adam_g.step()
        discriminator.requires_grad_(True)
        with torch.no_grad():
            fakes = augmented(generator(torch.randn(batch, model.noise_dim))[0][-low:])
            reals = [real.repeat(batch, 1, 1, 1)]
            for _ in range(low - 1):
                reals.insert(0, F.interpolate(reals[0], scale_factor=0.5, mode="bilinear"))
            reals = augmented(reals)
        loss = adversarial(discriminator(reals), -1, plan.num_blocks_d)
        loss = loss + adversarial(discriminator(fakes), 1, plan.num_blocks_d)
        adam_d.zero_grad()
        loss.backward()
        adam_d.step()

    return step


def timed(step, count: int) -> float:
    begun = time.perf_counter()
    for _ in range(count):
        step()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
