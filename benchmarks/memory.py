"""The memory estimate beside XLA's own figure for the compiled step, as one JSON line per model.

    python benchmarks/memory.py [HEIGHTxWIDTHxCHxBATCH[xremat] ...]
"""

import argparse
import json
import sys

from measure import Training, program_megabytes, task_on_noise


def main() -> None:
    for name in sys.argv[1:] or ("64x64x32x5", "128x128x32x5", "64x64x8x5", "64x128x16x2"):
        sizes = map(int, name.removesuffix("xremat").split("x"))
        given = argparse.Namespace(**dict(zip(("height", "width", "ch", "batch"), sizes, strict=True)))
        task, data, state = task_on_noise(given, remat=name.endswith("xremat"))
        compiled = program_megabytes(Training(task.stages[0], state, data).compiled)
        estimated = task.family.memory(task.config, task.plan, 1) / 1e6
        result = {"model": name, "estimated_megabytes": estimated, "compiled_megabytes": compiled}
        print(json.dumps(result | {"estimated_over_compiled": round(estimated / compiled, 3)}), flush=True)


if __name__ == "__main__":
    main()
