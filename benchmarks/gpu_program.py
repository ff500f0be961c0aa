"""What a GPU is told to do in one training step, counted in the program that XLA makes for it, without a GPU.

    JAX_PLATFORMS=cpu python benchmarks/gpu_program.py --height 192 --width 320 [--ch 32] [--form fused] [--out FILE]

Needs jax[cuda12]; compiles for an H100 from a description of it. Prints one JSON line: operations launched in a step
in all, by kind, and by the source file that they come from, bytes accessed, and memory without the workspaces of
cuDNN. It says nothing of time, and a real GPU's autotuning may choose other kernels for matrix products.
"""

import argparse
import collections
import os
import re

import jax
import numpy as np
from jax.experimental import topologies
from jax.sharding import SingleDeviceSharding
from measure import KEY, emit, parser_of, program_megabytes, task_on_noise

from siv_jax.nn.convolution import FORMS, OTHER_FORM, forced_form

H100 = """
gpu_device_info {
  threads_per_block_limit: 1024 threads_per_warp: 32 shared_memory_per_block: 49152 shared_memory_per_core: 233472
  threads_per_core_limit: 2048 core_count: 132 fpus_per_core: 128 block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535 block_dim_limit_z: 65535 memory_bandwidth: 3352320000000 l2_cache_size: 52428800
  clock_rate_ghz: 1.98 device_memory_size: 84978434048 shared_memory_per_block_optin: 232448
  cuda_compute_capability { major: 9 } registers_per_core_limit: 65536 registers_per_block_limit: 65536
}
platform_name: "CUDA" dnn_version_info { major: 9 minor: 10 } device_description_str: "NVIDIA H100 80GB HBM3"
"""
# Operations that are no work for the device.
FREE = {"parameter", "constant", "get-tuple-element", "tuple", "bitcast", "after-all", "partition-id"}


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--dtype", default="bfloat16", choices=("float32", "bfloat16"))
    parser.add_argument("--form", default=OTHER_FORM, choices=FORMS)
    parser.add_argument("--remat", action="store_true")
    given = parser.parse_args()
    program = compiled(given)
    kinds, files = launches(program.as_text())
    result = {"benchmark": "gpu_program", "compiled_for": "NVIDIA H100, without one", "jax": jax.__version__}
    result |= {name: getattr(given, name) for name in ("height", "width", "ch", "batch", "dtype", "form", "remat")}
    result |= {"launched_operations": sum(kinds.values()), "kinds": dict(kinds.most_common())}
    result |= {"files": dict(files.most_common())}
    result["program_megabytes"] = round(program_megabytes(program), 1)
    emit(result, given.out)


def compiled(given: argparse.Namespace) -> jax.stages.Compiled:
    """One training step as a program for an H100."""
    os.environ["XLA_FLAGS"] = f"--xla_gpu_autotune_level=0 {os.environ.get('XLA_FLAGS', '')}"
    jax.config.update("jax_traceback_in_locations_limit", 60)
    topology = topologies.get_topology_desc("h100", "cuda", topology="1x1x1", target_config=H100)
    sharding = SingleDeviceSharding(topology.devices[0])
    task, data, state = task_on_noise(given, dtype=given.dtype, remat=given.remat)
    arguments = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), (state, data, KEY, np.int32(0))
    )

    def step(state, data, key, at):
        return task.stages[0].step(state, data, jax.random.wrap_key_data(key, impl="threefry2x32"), at)

    with forced_form(given.form):
        return jax.jit(step, donate_argnums=0).lower(*arguments).compile()


def launches(text: str) -> tuple[collections.Counter, collections.Counter]:
    """Launched operations of an optimized module by kind, and by the innermost file of siv_jax they come from."""
    tables = {name: dict(re.findall(r"^(\d+) (.*)$", _table(text, name), re.M)) for name in _TABLES}
    kinds, files = collections.Counter(), collections.Counter()
    for line in re.search(r"^ENTRY .*?^}", text, re.M | re.S).group(0).splitlines()[1:-1]:
        name, operation = re.match(r"\s+(?:ROOT )?%?([\w.\-]+) = (?:\(.*?\)|\S+) ([a-z][\w\-]*)\(", line).groups()
        if operation in FREE:
            continue
        target = re.search(r'custom_call_target="([^"]*)"', line)
        kinds[target.group(1) if target else re.sub(r"[.\d]+$", "", name) if operation == "fusion" else operation] += 1
        frame = re.search(r"stack_frame_id=(\d+)", line)
        files[_file(tables, frame.group(1)) if frame else "unknown"] += 1
    return kinds, files


_TABLES = ("FileNames", "FileLocations", "StackFrames")


def _table(text: str, name: str) -> str:
    found = re.search(rf"^{name}\n((?:\d+ .*\n)+)", text, re.M)
    return found.group(1) if found else ""


def _file(tables: dict, frame: str) -> str:
    names, locations, frames = (tables[name] for name in _TABLES)
    # XLA of jax 0.12 prints a parent one too high: the first frame would be its own.
    shift = int("parent_frame_id=1" in frames.get("1", ""))
    seen = set()
    while frame in frames and frame not in seen:
        seen.add(frame)
        location = re.search(r"file_location_id=(\d+)", frames[frame]).group(1)
        path = names[re.search(r"file_name_id=(\d+)", locations[location]).group(1)].strip('"')
        if "siv_jax/" in path:
            return path.rpartition("siv_jax/")[2]
        parent = re.search(r"parent_frame_id=(\d+)", frames[frame])
        frame = str(int(parent.group(1)) - shift) if parent else ""
    return "unknown"


if __name__ == "__main__":
    main()
