"""CPU seconds and memory of a training step of InGAN, as one JSON line; on one core with taskset.

    taskset -c 0 python benchmarks/ingan_step.py photo.jpg --set transform.max_scale=1.0 --at 0 10000 --out FILE

--at chooses steps of the schedule where it is timed: the range of sizes and the generator's extra step depend on it.
The time of a place is the mean of --steps steps in a row, each on its own canvas; what these need is compiled before,
and counted apart. Megabytes and operations are of the first step's program, the estimate is for the largest.
"""

import argparse
import json
import time

import jax
from measure import KEY, emit

from siv_jax import config as config_lib
from siv_jax.data import open_source
from siv_jax.models.ingan import memory
from siv_jax.train import devices, single


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture")
    parser.add_argument("--set", nargs="*", default=[], help="settings, such as transform.crop=64")
    parser.add_argument("--at", nargs="*", type=int, default=[0])
    parser.add_argument("--steps", type=int, default=3, help="steps that are timed at each place")
    parser.add_argument("--out", default="", help="file to append the result to")
    given = parser.parse_args()
    settings = {key: json.loads(value) for key, value in (text.split("=") for text in given.set)}
    config = config_lib.from_config_dict(config_lib.default("ingan"))
    config = config_lib.with_overrides(config, settings | {"data.path": given.picture})
    task = single.make_task(config, open_source(config.data), 1)
    stage = task.stages[0]
    data = stage.data(task.source)
    state = stage.init(KEY, data, None)
    program = devices.Program(stage, jax.devices()[:1])
    seconds, compiling, begun = {}, {}, time.process_time()
    compiled = program.compile(state, data, KEY, given.at[0])
    figures = compiled.memory_analysis()
    state, data, totals = program.put(state), program.put(data), program.zero_totals()
    for at in given.at:
        program.prepare(state, totals, data, KEY, at, given.steps)
        compiling[at] = round(time.process_time() - begun, 1)
        state, totals, ticket = program.advance(state, totals, data, KEY, at, 1)  # the first one takes the memory
        ticket.block_until_ready()
        begun = time.process_time()
        state, totals, ticket = program.advance(state, totals, data, KEY, at, given.steps)
        ticket.block_until_ready()
        seconds[at] = round((time.process_time() - begun) / given.steps, 3)
        begun = time.process_time()
    result = {
        "settings": settings,
        "picture": f"{task.plan.width}x{task.plan.height}",
        "steps": given.steps,
        "cpu_seconds_per_step_at": seconds,
        "cpu_seconds_to_compile_at": compiling,
        "gigaflops": round(compiled.cost_analysis()["flops"] / 1e9, 1),
        "compiled_megabytes": round((figures.temp_size_in_bytes + figures.argument_size_in_bytes) / 1e6, 1),
        "estimated_megabytes": round(memory.of_arrays(config, task.plan, task.source.num_frames) / 1e6, 1),
    }
    emit(result, given.out)


if __name__ == "__main__":
    main()
