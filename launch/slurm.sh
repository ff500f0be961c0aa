#!/usr/bin/env bash
# Trains on the GPUs of one or more nodes of a SLURM cluster.
#
#   launch/slurm.sh --nodes 2 --gpus 4 --time 08:00:00 --partition gpu -- \
#       --config configs/single_image.py --config.data.path photo.jpg --workdir runs/photo
#
# Needs: bash 4.4 or newer; siv_jax with its [cuda] extra in the active Python environment; a checkout, input
# and workdir that every node sees (a shared file system). Run it where the training command would be run.
#
# Expect: outside a job it submits itself with sbatch and prints the job's number; the log is NAME-JOB.log.
# Inside a job (sbatch or salloc) it runs the training with srun: one process per GPU, as JAX expects on
# SLURM. Before the time limit SLURM sends SIGTERM, the run saves, and the job goes back into the queue and
# resumes; after a node failure or a preemption SLURM requeues it by itself. `scancel` saves and ends
# it, in the time that the cluster gives (KillWait, mostly 30 seconds).
# Running the same command again resumes. Exit codes are those of the training: 0 done, 2 bad input,
# 3 diverged, 130 or 143 stopped after saving.
#
# Options, before the --:
#   --nodes N        nodes (default 1)
#   --gpus N         GPUs, and so processes, on each node (default 1)
#   --time LIMIT     time limit of the job, in sbatch's formats (default 24:00:00)
#   --grace SECONDS  how long before the limit SIGTERM comes (default 120)
#   --restarts N     how often the job may go back into the queue (default 20)
#   --python PATH    the Python to run (default python)
#   --dry-run        print the commands and run nothing
#   --help           print this text
# Every other option goes to sbatch as it is: --partition, --account, --cpus-per-task, --mem, ...
# After the --: the arguments of `python -m siv_jax.main`.

set -euo pipefail

fail() {
  echo "error: $1" >&2
  exit 2
}

option() { # option VARIABLE --name VALUE ...: VALUE into VARIABLE
  (($# > 2)) && [[ $3 != --* ]] || fail "$2 needs a value"
  printf -v "$1" %s "$3"
}

show() { # the command, quoted so that it can be pasted into a shell
  local word line=
  for word; do
    [[ $word =~ ^[A-Za-z0-9_./:=@%+,-]+$ ]] || word=${word@Q}
    line+="$word "
  done
  echo "${line% }"
}

nodes=1 gpus=1 time=24:00:00 grace=120 restarts=20 python=python dry_run=
for_sbatch=()
while (($#)) && [[ $1 != -- ]]; do
  case $1 in
    --nodes=* | --gpus=* | --time=* | --grace=* | --restarts=* | --python=*)
      set -- "${1%%=*}" "${1#*=}" "${@:2}" ;;
    --nodes) option nodes "$@" && shift 2 ;;
    --gpus) option gpus "$@" && shift 2 ;;
    --time) option time "$@" && shift 2 ;;
    --grace) option grace "$@" && shift 2 ;;
    --restarts) option restarts "$@" && shift 2 ;;
    --python) option python "$@" && shift 2 ;;
    --dry-run) dry_run=1 && shift ;;
    --help) sed -n '2,/^$/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" && exit ;;
    *) for_sbatch+=("$1") && shift ;;
  esac
done
(($# > 1)) || fail "no training arguments: put them after --, see $0 --help"
shift
for number in nodes gpus grace restarts; do
  [[ ${!number} =~ ^[0-9]+$ ]] || fail "--$number takes a whole number, not ${!number}"
done
((nodes > 0 && gpus > 0)) || fail "--nodes and --gpus must be 1 or more"

# A failed process must not take down others that are still saving: --kill-on-bad-exit=0, and --wait bounds
# how long they may outlive it. srun does not take --cpus-per-task over from sbatch by itself.
step=(srun --kill-on-bad-exit=0 --wait=120 ${SLURM_CPUS_PER_TASK:+"--cpus-per-task=$SLURM_CPUS_PER_TASK"}
  "$python" -m siv_jax.main --distributed "$@")

if [[ -z ${SLURM_JOB_ID:-} ]]; then
  submit=(sbatch --job-name=siv_jax --output=%x-%j.log --open-mode=append --nodes="$nodes"
    --ntasks-per-node="$gpus" --gpus-per-node="$gpus" --time="$time" --signal="TERM@$grace" --requeue
    "${for_sbatch[@]}" "$(realpath "${BASH_SOURCE[0]}")" --restarts "$restarts" --python "$python" -- "$@")
  if [[ $dry_run ]]; then
    show "${submit[@]}"
    echo "# and in the job:"
    show "${step[@]}"
    exit
  fi
  exec "${submit[@]}"
fi

if [[ $dry_run ]]; then
  show "${step[@]}"
  exit
fi
# --signal reaches the processes but not this shell; scancel and preemption reach both. So SIGTERM here
# means that the job must not put itself back into the queue.
cancelled=
trap 'cancelled=1' TERM
code=0
"${step[@]}" || code=$?
if [[ $code != 143 || $cancelled ]]; then
  exit "$code"
fi
if ((${SLURM_RESTART_COUNT:-0} >= restarts)); then
  echo "stopped before the time limit after $restarts restarts; run the same command again to resume" >&2
elif scontrol requeue "$SLURM_JOB_ID"; then
  echo "stopped before the time limit; job $SLURM_JOB_ID is in the queue again and will resume" >&2
else
  echo "stopped before the time limit and not requeued; run the same command again to resume" >&2
fi
exit "$code"
