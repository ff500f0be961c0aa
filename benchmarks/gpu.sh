#!/usr/bin/env bash
# Every figure that needs a GPU, in pieces of under ten minutes each: what is done already is not done again.
#
#   benchmarks/gpu.sh [--out DIR] [--seconds N] [--photo FILE] [--only WORDS] [--tiny]
#   benchmarks/gpu.sh --carry DIR
#
# --out      where the results go, one JSON file a kind, named after the device; benchmarks/results if not given.
# --seconds  begins no piece after so long (540); run the same command again for the rest.
# --photo    the picture for rendering and for quality over time; the drawn balloons if not given.
# --only     the pieces whose names match this extended regular expression, such as '^(step|pytorch) '.
# --tiny     the same at tiny sizes, to try the script on a CPU.
# --carry    fetches into DIR what the pieces need from the network (the metrics' weights); on a machine without one
#            set SIV_JAX_CACHE to a copy of DIR.
set -euo pipefail
cd "$(dirname "$0")/.."
out=benchmarks/results seconds=540 photo='' tiny='' only=.
while [ $# -gt 0 ]; do
  case $1 in
    --out) out=$2; shift 2 ;;
    --seconds) seconds=$2; shift 2 ;;
    --photo) photo=$2; shift 2 ;;
    --only) only=$2; shift 2 ;;
    --tiny) tiny=yes; shift ;;
    --carry) SIV_JAX_CACHE=$2 python -m siv_jax.weights fetch; exit ;;
    *) sed -n '2,14p' "$0" >&2; exit 2 ;;
  esac
done
export PYTHONPATH=".:benchmarks${PYTHONPATH:+:$PYTHONPATH}"
device=$(python -c 'import jax, re; print(re.sub("[^a-z0-9]+", "_", jax.devices()[0].device_kind.lower()).strip("_"))')
mkdir -p "$out"
done_file=$out/.done_$device
touch "$done_file"
runs=$out/.runs_$device
if [ -z "$photo" ]; then
  photo=$out/.balloons.png
  python - "$photo" <<'PYTHON'
import sys
from PIL import Image
from siv_jax.config import DataConfig
from siv_jax.data import open_source
source = open_source(DataConfig(path="example:balloons"))
Image.fromarray(source.resized(*source.size)[0]).save(sys.argv[1])
PYTHON
fi

# NAME|COMMAND; a command appends its lines to FILE_device.json by itself.
pieces() {
  local sizes='64x64 128x128 192x320 512x512' windows='--steps 20 --windows 5' ch=32 counts='1 2 4 8 16' widths='1152 2304'
  local at=500,2000,5000,10000 seeds=0,1,2,3,4,5 small='data.max_size=128' num=50 parity_at=500
  if [ -n "$tiny" ]; then
    sizes='48x64' windows='--steps 2 --windows 2' ch=8 counts='1 2' widths='64'
    at=4,8 seeds=0 small='data.max_size=64 model.ch_g=1 model.ch_d=8 batch_size=2' num=4 parity_at=4
  fi
  local size dtype model count width torch_device=cuda
  [ "$device" = cpu ] && torch_device=cpu
  echo "agreement|python benchmarks/agreement.py --height 64 --width 64 --ch 8 --out $out/agreement_$device.json"
  for size in $sizes; do
    model="--height ${size%x*} --width ${size#*x} --ch $ch"
    for dtype in float32 bfloat16; do
      echo "step $size $dtype|python benchmarks/train_step.py $model --dtype $dtype $windows --out $out/train_step_$device.json"
    done
    if python -c 'import torch' 2>/dev/null; then
      echo "pytorch $size|python benchmarks/pytorch_step.py $model --device $torch_device $windows --out $out/pytorch_step_$device.json"
    fi
  done
  for size in $sizes; do
    for dtype in float32 bfloat16; do
      echo "sample $size $dtype|python benchmarks/sample.py --height ${size%x*} --width ${size#*x} --ch $ch --dtype $dtype --out $out/sample_$device.json"
    done
  done
  for width in $widths; do
    echo "render $width|python benchmarks/render.py --photo $photo --width $width --out $out/render_$device.json"
  done
  for count in $counts; do
    echo "fleet $count|python benchmarks/fleet.py --height 48 --width 64 --ch $ch --models $count $windows --out $out/fleet_$device.json"
  done
  for size in $sizes; do
    echo "memory $size|python benchmarks/memory.py ${size}x${ch}x5 >> $out/memory_$device.json"
  done
  for dtype in float32 bfloat16; do
    echo "parity $dtype|python benchmarks/quality.py --data $photo --at $parity_at --seeds $seeds --num $num --name $dtype --folder $runs/$dtype --out $out/precision_$device.json -- $small model.dtype=$dtype"
  done
  echo "quality|python benchmarks/quality.py --data $photo --at $at --seeds 0 --num $num --name single_image --folder $runs/quality --out $out/quality_$device.json -- ${tiny:+$small}"
}

while IFS='|' read -r name command; do
  if grep -qxF "$name" "$done_file" || ! grep -qE "$only" <<< "$name"; then
    continue
  fi
  if [ "$SECONDS" -ge "$seconds" ]; then
    echo "not begun: $name and what follows; run the same command again"
    break
  fi
  echo "== $name (after $SECONDS s)"
  # A piece that takes too long or fails is named and does not keep the others from running.
  if timeout 590 bash -c "$command" </dev/null; then
    echo "$name" >> "$done_file"
  else
    echo "failed: $name: $command" >&2
  fi
done < <(pieces)
python benchmarks/table.py "$out"/*_"$device".json > "$out/table_$device.md"
echo "the figures so far: $out/table_$device.md"
