#!/usr/bin/env bash
# Profiles stores on another device, and fetches the profiles beside the stores:
#
#     over_ssh.sh pi@raspberrypi.local stores/faces stores/scenes -- --threads 1 2 4
#
# What stands after -- goes to `legodnn profile`. The device needs SSH and Python 3.10 to 3.13. The first time, legodnn is
# installed there into ~/.legodnn/venv, by pip, from the package index or from the wheel that $LEGODNN_WHEEL names.
# $SSH_OPTIONS goes to ssh. Interrupted, the same command goes on where the device was.
set -euo pipefail

usage() {
    sed -n '2,9s/^# \{0,1\}//p' "$0"
    exit "$1"
}

[[ ${1:-} == -h || ${1:-} == --help ]] && usage 0
[[ $# -ge 2 ]] || usage 2
host=$1
shift
stores=()
while [[ $# -gt 0 && $1 != -- ]]; do
    [[ -f $1/manifest.json ]] || { echo "$1 is not a store: it has no manifest.json" >&2; exit 1; }
    stores+=("${1%/}")
    shift
done
[[ $# -gt 0 ]] && shift # the --
for argument in "$@"; do
    [[ $argument == --out || $argument == --plot || $argument == --merge ]] &&
        { echo "$argument cannot be used over SSH; profiles are fetched beside the stores" >&2; exit 1; }
done

# shellcheck disable=SC2086  # options are words
remote() { ssh ${SSH_OPTIONS:-} "$host" "$@"; }

remote 'mkdir -p ~/.legodnn/stores'
if ! remote '~/.legodnn/venv/bin/legodnn --version' >/dev/null 2>&1; then
    echo "installing legodnn on $host" >&2
    package=legodnn
    if [[ -n ${LEGODNN_WHEEL:-} ]]; then
        package=".legodnn/$(basename "$LEGODNN_WHEEL")"
        remote "cat > '$package'" <"$LEGODNN_WHEEL"
    fi
    remote "python3 -m venv ~/.legodnn/venv && ~/.legodnn/venv/bin/pip install --quiet '$package'"
fi

names=()
for store in "${stores[@]}"; do
    name=$(basename "$store")
    sum=$(sha256sum <"$store/manifest.json")
    if [[ $(remote "sha256sum <'.legodnn/stores/$name/manifest.json' 2>/dev/null" || true) != "$sum" ]]; then
        echo "sending $store" >&2
        tar -C "$(dirname "$store")" -cf - "$name" |
            remote "rm -rf '.legodnn/stores/$name' && tar -C .legodnn/stores -xf -"
    fi
    names+=("'.legodnn/stores/$name'")
done
remote "~/.legodnn/venv/bin/legodnn profile ${names[*]} $(printf '%q ' "$@")"
for store in "${stores[@]}"; do
    remote "cat '.legodnn/stores/$(basename "$store").profile.json'" >"$store.profile.json.tmp"
    mv "$store.profile.json.tmp" "$store.profile.json"
    echo "fetched $store.profile.json" >&2
done
