#!/usr/bin/env bash
# Trains on the GPUs of a Google Kubernetes Engine cluster: fills gke_job.yaml and applies it.
#
#   launch/gke.sh --name photo --image REGION-docker.pkg.dev/PROJECT/REPO/siv_jax --claim pictures \
#       --nodes 2 --gpus 4 --gpu-type nvidia-l4 -- \
#       --config configs/single_image.py --config.data.path /data/photo.jpg --workdir /data/runs/photo
#
# Needs: bash 4.4 or newer; kubectl pointed at the cluster; nodes with the GPUs; a volume claim that all pods can write
# (ReadWriteMany, such as Filestore), seen in the pods as /data, with the input on it; an image such as
#   FROM python:3.12-slim
#   COPY . /siv_jax
#   WORKDIR /siv_jax
#   RUN pip install ".[cuda]"
#
# Expect: a Job and a headless Service named NAME, and the commands that follow or stop them. A pod that is
# preempted, evicted or drained gets SIGTERM and saves; the Job starts it again and it resumes. Bad input
# (exit code 2) and a diverged run (3) fail the Job at once. Running the same command after the Job has
# ended resumes; while it still runs, this refuses.
#
# Options, before the --:
#   --name NAME       name of the job (needed)
#   --image IMAGE     container image (needed)
#   --claim CLAIM     the volume claim (needed)
#   --nodes N         pods, each one process with GPUs of its own (default 1)
#   --gpus N          GPUs of each pod (default 1)
#   --gpu-type TYPE   kind of GPU, as in the cloud.google.com/gke-accelerator label (default nvidia-l4)
#   --spot            on Spot nodes; Google then leaves less than 30 seconds for saving
#   --namespace NAME  namespace (default: that of kubectl's context)
#   --grace SECONDS   time for saving after SIGTERM (default 120)
#   --dry-run         print the commands and the manifest and run nothing
#   --help            print this text
# After the --: the arguments of `python -m siv_jax.main`, with paths as the pods see them.

set -euo pipefail

fail() {
  echo "error: $1" >&2
  exit 2
}

option() { # option VARIABLE --name VALUE ...: VALUE into VARIABLE
  (($# > 2)) && [[ $3 != --* ]] || fail "$2 needs a value"
  printf -v "$1" %s "$3"
}

json_list() { # the words as a JSON list; $ doubled, because Kubernetes expands $(NAME) in arguments
  local word list=
  for word; do
    [[ $word != *[[:cntrl:]]* ]] || fail "control character in the argument ${word@Q}"
    word=${word//\\/\\\\}
    word=${word//\"/\\\"}
    list+="\"${word//\$/\$\$}\", "
  done
  echo "[${list%, }]"
}

name='' image='' claim='' nodes=1 gpus=1 gpu_type=nvidia-l4 spot='' namespace='' grace=120 dry_run=''
while (($#)) && [[ $1 != -- ]]; do
  case $1 in
    --*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;;
    --name) option name "$@" && shift 2 ;;
    --image) option image "$@" && shift 2 ;;
    --claim) option claim "$@" && shift 2 ;;
    --nodes) option nodes "$@" && shift 2 ;;
    --gpus) option gpus "$@" && shift 2 ;;
    --gpu-type) option gpu_type "$@" && shift 2 ;;
    --spot) spot=1 && shift ;;
    --namespace) option namespace "$@" && shift 2 ;;
    --grace) option grace "$@" && shift 2 ;;
    --dry-run) dry_run=1 && shift ;;
    --help) sed -n '2,/^$/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" && exit ;;
    *) fail "unknown option $1; see $0 --help" ;;
  esac
done
(($# > 1)) || fail "no training arguments: put them after --, see $0 --help"
shift
[[ $name && $image && $claim ]] || fail "--name, --image and --claim are needed; see $0 --help"
# 50: pods are named NAME-INDEX, and a host name ends at 63.
[[ $name =~ ^[a-z]([-a-z0-9]{0,48}[a-z0-9])?$ ]] ||
  fail "--name takes up to 50 small letters, digits and hyphens, a letter first, not $name"
for word in "$image" "$claim" "$gpu_type" "$namespace"; do
  [[ $word =~ ^[A-Za-z0-9_./:@-]*$ ]] || fail "$word cannot be the name of anything in Kubernetes"
done
for number in nodes gpus grace; do
  [[ ${!number} =~ ^[1-9][0-9]*$ ]] || fail "--$number takes a whole number above 0, not ${!number}"
done

selector="{cloud.google.com/gke-accelerator: \"$gpu_type\"${spot:+, cloud.google.com/gke-spot: \"true\"}}"
arguments=$(json_list "$@")
devices=$(seq 0 $((gpus - 1)) | paste -sd, -)
manifest=$(< "$(dirname "${BASH_SOURCE[0]}")/gke_job.yaml")
fill() { # fill KEY VALUE: every ${KEY} of the manifest becomes VALUE
  manifest=${manifest//"\${$1}"/"$2"}
}
fill NAME "$name"
fill NODES "$nodes"
fill BACKOFF "$((10 * nodes))"
fill GRACE "$grace"
fill NODE_SELECTOR "$selector"
fill IMAGE "$image"
fill DEVICES "$devices"
fill GPUS "$gpus"
fill CLAIM "$claim"
fill ARGS "$arguments" # last: the arguments may themselves contain ${NAME}

kubectl=(kubectl ${namespace:+"--namespace=$namespace"})
active=("${kubectl[@]}" get job "$name" --ignore-not-found '--output=jsonpath={.status.active}')
delete=("${kubectl[@]}" delete job "$name" --ignore-not-found)
apply=("${kubectl[@]}" apply --filename=-)
if [[ $dry_run ]]; then
  printf '%s\n' "${active[*]@Q}" "${delete[*]@Q}" "${apply[*]@Q} <<'END'" "$manifest" END
  exit
fi
running=$("${active[@]}")
[[ -z $running || $running == 0 ]] ||
  fail "job $name is running; stop it first (it saves): ${kubectl[*]} delete job $name"
"${delete[@]}" # a Job cannot be changed or run again, so one that has ended makes way
"${apply[@]}" <<< "$manifest"
echo "follow: ${kubectl[*]} logs --follow --selector=job-name=$name,batch.kubernetes.io/job-completion-index=0"
echo "stop (saves): ${kubectl[*]} delete job $name"
