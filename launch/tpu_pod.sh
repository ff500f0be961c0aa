#!/usr/bin/env bash
# Trains on a Cloud TPU slice: creates it or reuses it, copies the checkout and the input, installs, runs
# the same command on every worker, fetches the results, deletes the slice again.
#
#   launch/tpu_pod.sh --name siv --zone us-central2-b --type v4-32 --spot -- \
#       --config configs/single_image.py --config.data.path photo.jpg --workdir runs/photo
#
# Needs: gcloud, logged in, with a project, TPU quota and working `gcloud compute tpus tpu-vm ssh`; bash 4.4
# or newer. Workers need the internet for installing. All paths are those of this machine; --config is
# a config's name or its path in the checkout.
#
# Expect: the log of worker 0 as it grows, and the results in the workdir here, refreshed every
# --fetch-seconds. A preempted slice is created again and the run resumes from the last fetched state. After
# a lost connection, running the same command again finds the run and follows it. Ctrl-C (or SIGTERM) saves,
# fetches and ends. A slice that was there before is never deleted, nor one whose results did not arrive.
# Exit codes: 0 done, 2 bad input, 3 diverged, 130 or 143 stopped by a signal, 1 or another: failed.
#
# Options, before the --:
#   --name NAME          name of the slice (needed)
#   --zone ZONE          zone of the slice (needed)
#   --type TYPE          accelerator type, such as v4-32 (needed when the slice does not exist yet)
#   --image IMAGE        software version of the TPU VM (default tpu-ubuntu2204-base)
#   --project PROJECT    project (default: that of gcloud's configuration)
#   --spot               on Spot capacity: cheaper, may be preempted
#   --keep               leave the slice running at the end
#   --fetch-seconds N    how often results are fetched; a preemption loses at most this much (default 600)
#   --attempts N         how often the run may be started in all, counting preemptions (default 20)
#   --dry-run            print the commands of a run without incidents and run nothing
#   --help               print this text
# After the --: the arguments of `python -m siv_jax.main`.

# shellcheck disable=SC2329  # functions called by traps
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
ON_WORKER=siv_jax_launch # below the home directory, where ssh commands start
LOST=75                  # our own code for: the slice or the connection to it went away

say() { echo "tpu_pod: $1" >&2; }

fail() { # fail MESSAGE [EXIT CODE]
  echo "error: $1" >&2
  exit "${2:-2}"
}

option() { # option VARIABLE --name VALUE ...: VALUE into VARIABLE
  (($# > 2)) && [[ $3 != --* ]] || fail "$2 needs a value"
  printf -v "$1" %s "$3"
}

quoted() { # the words as a shell takes them
  local word line=
  for word; do
    [[ $word =~ ^[A-Za-z0-9_./:=@%+,-]+$ ]] || word=${word@Q}
    line+="$word "
  done
  echo "${line% }"
}

run() { if [[ $dry_run ]]; then quoted "$@"; else "$@"; fi; }

tpu() { # tpu VERB ARGUMENT ...: without stdin, which ssh would eat
  run gcloud compute tpus tpu-vm "$@" --zone="$zone" ${project:+"--project=$project"} < /dev/null
}

on() { tpu ssh "$name" --worker="$1" --command="$2"; } # on WORKER COMMAND, where WORKER is 0 or all

parse_options() {
  name='' zone='' type='' image=tpu-ubuntu2204-base project='' spot='' keep='' dry_run=''
  fetch_seconds=600 attempts=20
  while (($#)) && [[ $1 != -- ]]; do
    case $1 in
      --*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;;
      --name | --zone | --type | --image | --project | --attempts) option "${1#--}" "$@" && shift 2 ;;
      --fetch-seconds) option fetch_seconds "$@" && shift 2 ;;
      --spot | --keep) printf -v "${1#--}" 1 && shift ;;
      --dry-run) dry_run=1 && shift ;;
      --help) sed -n '2,/^$/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" && exit ;;
      *) fail "unknown option $1; see $0 --help" ;;
    esac
  done
  [[ $name && $zone ]] || fail "--name and --zone are needed; see $0 --help"
  [[ "$fetch_seconds $attempts" =~ ^[1-9][0-9]*\ [1-9][0-9]*$ ]] ||
    fail "--fetch-seconds and --attempts take whole numbers above 0"
  (($# > 1)) || fail "no training arguments: put them after --, see $0 --help"
  shift
  parse_training "$@"
}

parse_training() { # finds input and workdir, and puts the paths on the workers in their place
  input='' workdir='' training=()
  local config=
  while (($#)); do
    case $1 in
      --config=* | --workdir=* | --config.data.path=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;;
      --config) option config "$@" && training+=("$1" "$2") && shift 2 ;;
      --workdir) option workdir "$@" && shift 2 ;;
      --config.data.path) option input "$@" && shift 2 ;;
      *) training+=("$1") && shift ;;
    esac
  done
  [[ $workdir && $input ]] || fail "the training arguments need --workdir and --config.data.path"
  [[ -f $ROOT/${config%%:*} || -f $ROOT/configs/${config%%:*}.py ]] ||
    fail "--config ${config%%:*} is neither a file nor the name of a config of the checkout $ROOT"
  workdir=${workdir%/}
  [[ $workdir == /* ]] || workdir=$PWD/$workdir
  # Named after the workdir, so that runs on one slice stay apart and one found there is known again.
  run_dir=runs/$(basename "$workdir" | tr -c 'A-Za-z0-9\n' _)_$(cksum <<< "$workdir" | cut -d' ' -f1)
  there=$ON_WORKER/$run_dir
  training+=(--workdir "../$run_dir/workdir" --config.data.path)
  if [[ $input == tfds:* ]]; then
    training+=("$input") input=''
  else
    [[ -e $input ]] || fail "--config.data.path $input does not exist"
    input=$(realpath "$input")
    training+=("../$run_dir/input/$(basename "$input")")
  fi
}

list_slices() { tpu list '--format=value(name.basename(),state)'; }

slice_state() { # READY, PREEMPTED, ... or nothing when there is no such slice
  local slices found state
  slices=$(list_slices) || return
  while read -r found state; do
    [[ $found != "$name" ]] || echo "$state"
  done <<< "$slices"
}

ensure_slice() {
  local state=
  if [[ $dry_run ]]; then list_slices; else state=$(slice_state) || return; fi
  case $state in
    READY) say "slice $name is there already" && return ;;
    PREEMPTED | TERMINATED) tpu delete "$name" --quiet || return ;;
    ?*) say "slice $name is $state" && return 1 ;;
  esac
  [[ $type ]] || fail "there is no slice $name in $zone: say its --type so that it can be created"
  created=1 unfetched=''
  tpu create "$name" --accelerator-type="$type" --version="$image" ${spot:+--spot}
}

write_run_script() { # what every worker runs; it leaves the process id and the exit code behind
  cat << END
cd ~/$ON_WORKER/checkout || exit 1
../env/bin/python -m siv_jax.main --distributed $(quoted "${training[@]}") &
echo \$! > ../$run_dir/pid
wait \$!
echo \$? > ../$run_dir/exit_code
END
}

upload() { # links, not copies: tar follows them
  local inside=$staging/$run_dir
  if [[ $dry_run ]]; then
    echo "# $inside/run.sh:" && write_run_script
  else
    rm -rf "$staging" && mkdir -p "$staging/checkout" "$inside/input" || return
    ln -s "$ROOT"/{setup.py,pyproject.toml,README.md,LICENSE,siv_jax,configs} "$staging/checkout/" || return
    [[ ! $input ]] || ln -s "$input" "$inside/input/" || return
    [[ ! -e $workdir ]] || ln -s "$workdir" "$inside/workdir" || return
    write_run_script > "$inside/run.sh" || return
  fi
  run tar -C "$staging" --exclude=__pycache__ -chzf "$staging.tgz" checkout runs || return
  tpu scp "$staging.tgz" "$name:siv_jax_upload.tgz" --worker=all || return
  on all "mkdir -p $ON_WORKER && cd $ON_WORKER && rm -rf checkout $run_dir && tar -xzf ~/siv_jax_upload.tgz"
}

install() { # uv brings a Python of its own: that of the VM images is too old
  on all "cd $ON_WORKER && PIP_BREAK_SYSTEM_PACKAGES=1 python3 -m pip install --quiet --user uv && python3 -m uv venv --quiet --allow-existing --python 3.12 env && python3 -m uv pip install --quiet --python env/bin/python './checkout[tpu]'"
}

start() { # detached, so that a lost connection does not end it
  on all "cd $there && { nohup setsid bash run.sh > train.log 2>&1 < /dev/null & } && until [ -s pid ]; do sleep 0.1; done"
}

follow() { # shows the log of worker 0 until its process ends or it is time to fetch
  local command follower code=0
  command="cd $there && { timeout $fetch_seconds tail -n +$((shown_lines + 1)) -f --pid=\$(cat pid) train.log || [ \$? = 124 ]; }"
  if [[ $dry_run ]]; then on 0 "$command" && return; fi
  # In the background, because only `wait` lets a signal through at once.
  on 0 "$command" | tee "$staging.log" &
  follower=$!
  wait "$follower" || code=$?
  if [[ $signal ]]; then
    { wait "$follower" || true; } && code=0 # the run is saving: see it out
  fi
  shown_lines=$((shown_lines + $(wc -l < "$staging.log")))
  return "$code"
}

fetch() { # the workdir of worker 0, which writes checkpoints and logs, takes the place of the one here
  local incoming=$workdir.incoming # beside the workdir, so that the last step is a renaming
  # Files may come and go while tar reads: checkpoints being written or dropped. Finished ones do not change.
  on 0 "cd $there && mkdir -p workdir && { tar -czf ~/siv_jax_results.tgz --ignore-failed-read workdir || [ \$? = 1 ]; }" || return
  run rm -rf "$incoming" && run mkdir -p "$incoming" || return
  tpu scp "$name:siv_jax_results.tgz" "$incoming/results.tgz" --worker=0 || return
  run tar -C "$incoming" -xzf "$incoming/results.tgz" || return
  if [[ $dry_run || $(ls -A "$incoming/workdir") ]]; then
    [[ ! -e $workdir ]] || run mv "$workdir" "$workdir.outgoing" || return
    run mv "$incoming/workdir" "$workdir" || return
  fi
  run rm -rf "$incoming" "$workdir.outgoing"
}

exit_codes() { # of every worker: a number, or `running`; one that vanished counts as stopped
  on all "cd $there && if kill -0 \$(cat pid) 2> /dev/null; then echo running; else sleep 1; cat exit_code 2> /dev/null || echo 143; fi"
}

wait_for_end() { # follows and fetches until all workers have ended; returns their exit code
  local codes code
  while :; do
    follow || return "$LOST"
    if [[ $dry_run ]]; then exit_codes && fetch && return; fi
    codes=$(exit_codes | grep -xE '[0-9]+|running') || return "$LOST"
    fetch || return "$LOST"
    [[ $codes == *running* ]] || break
    sleep 10
  done
  # Why it ended counts for more than what the peers of the first to end died of.
  for code in 2 3 143; do
    ! grep -qx "$code" <<< "$codes" || return "$code"
  done
  return "$(sort -n <<< "$codes" | tail -n 1)"
}

attempt_run() { # returns the exit code of the training, or LOST
  local found=no code=0
  ensure_slice || return "$LOST"
  if [[ ! $dry_run ]]; then
    found=$(on 0 "if [ -e $there/pid ]; then echo yes; else echo no; fi") || return "$LOST"
  fi
  if [[ $found == *yes* ]]; then
    say "the run is on slice $name already: following it"
    if [[ -e $workdir && ! $unfetched ]]; then mv "$workdir" "$workdir.before_$(date +%Y%m%d_%H%M%S)"; fi
    unfetched=1
  else
    upload && install || return "$LOST"
    [[ ! $signal ]] || return "$signal"
    unfetched=1 shown_lines=0
    start || return "$LOST"
  fi
  wait_for_end || code=$?
  [[ $code != "$LOST" ]] || return "$LOST"
  unfetched=''
  on all "rm -rf $there" || true
  return "$code"
}

interrupt() { # the first signal stops the run, the second this script
  [[ ! $signal ]] || exit "$1"
  signal=$1
  [[ $unfetched ]] || return 0
  say "stopping the run; it saves first"
  on all "kill -TERM \$(cat $there/pid)" || true
}

finish() {
  local code=$?
  rm -rf "$staging" "$staging.tgz" "$staging.log"
  if [[ $unfetched ]]; then
    say "slice $name is kept, for it has results that did not arrive; run the same command again to get them"
  elif [[ $created && $keep ]]; then
    say "slice $name is kept; it costs money until you delete it"
  elif [[ $created ]]; then
    say "deleting slice $name"
    tpu delete "$name" --quiet || say "slice $name could not be deleted: delete it by hand, it costs money"
  fi
  exit "$code"
}

parse_options "$@"
created='' unfetched='' signal='' shown_lines=0 staging=$workdir.launch
if [[ $dry_run ]]; then
  attempt_run
  [[ $keep ]] || tpu delete "$name" --quiet
  exit
fi
command -v gcloud > /dev/null || fail "gcloud is not installed"
mkdir -p "$(dirname "$workdir")"
# Where an earlier fetch was cut off between its two renamings.
[[ -e $workdir || ! -e $workdir.outgoing ]] || mv "$workdir.outgoing" "$workdir"
trap finish EXIT
trap 'interrupt 130' INT
trap 'interrupt 143' TERM
for ((attempt = 1; attempt <= attempts; attempt++)); do
  code=0
  attempt_run || code=$?
  case $code in 0 | 2 | 3) exit "$code" ;; esac
  [[ $signal ]] || sleep $((30 * attempt)) # a preemption takes a moment to show, and capacity longer to come back
  [[ ! $signal ]] || exit "$signal"
  state=$(slice_state) || state=unknown
  say "attempt $attempt of $attempts ended (code $code); slice $name is ${state:-gone}"
  if [[ $code == "$LOST" && $attempt == 1 && ! $unfetched && $state =~ ^(READY|)$ ]]; then
    fail "slice $name could not be made ready, see above" 1
  fi
  case $code in "$LOST" | 130 | 143) continue ;; esac
  [[ $state != READY ]] || exit "$code"
done
fail "given up after $attempts attempts; run the same command again to resume" 1
