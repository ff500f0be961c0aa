"""The memory estimate beside XLA's own figure for the compiled step, as one JSON line per model.

    python benchmarks/memory.py [HEIGHTxWIDTHxCHxBATCH[xremat] ...]
"""

import json
import sys

import numpy as np

from siv_jax.config import Config, ModelConfig
from siv_jax.models.siv_gan import memory
from siv_jax.models.siv_gan.plan import make_plan
from siv_jax.models.siv_gan.state import init_state
from siv_jax.train import devices as parallel


def main() -> None:
    for name in sys.argv[1:] or ("64x64x32x5", "128x128x32x5", "64x64x8x5", "64x128x16x2"):
        remat = name.endswith("xremat")
        height, width, ch, batch = map(int, name.removesuffix("xremat").split("x"))
        config = Config(batch_size=batch, model=ModelConfig(ch_g=ch, ch_d=ch, remat=remat))
        plan = make_plan(height, width, 3, max(height, width), config.model)
        trainer = parallel.Trainer(plan, config, num_devices=1)
        frames = np.zeros((1, plan.height, plan.width, 3), np.uint8)
        program = trainer.compile(trainer.put(init_state(plan, config)), trainer.put(frames)).memory_analysis()
        compiled = program.temp_size_in_bytes + program.argument_size_in_bytes
        estimated = memory.estimate(plan, config, 1, 1)
        result = {"model": name, "estimated_megabytes": estimated / 1e6, "compiled_megabytes": compiled / 1e6}
        print(json.dumps(result | {"estimated_over_compiled": round(estimated / compiled, 3)}), flush=True)


if __name__ == "__main__":
    main()
