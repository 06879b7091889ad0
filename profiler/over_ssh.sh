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
names=()
while [[ $# -gt 0 && $1 != -- ]]; do
    [[ -f $1/manifest.json ]] || { echo "$1 is not a store: it has no manifest.json" >&2; exit 1; }
    store=${1%/}
    name=$(basename "$store")
    # Names are folders there, in commands of a shell.
    [[ $name =~ ^[A-Za-z0-9_][A-Za-z0-9_.+-]*$ ]] ||
        { echo "$1 cannot be sent: its name may have letters, digits and _ . + - only" >&2; exit 1; }
    [[ " ${names[*]-} " != *" $name "* ]] || { echo "two stores are called $name; profile them one by one" >&2; exit 1; }
    stores+=("$store")
    names+=("$name")
    shift
done
[[ ${#stores[@]} -gt 0 ]] || usage 2
[[ $# -gt 0 ]] && shift # the --
arguments=
for argument in "$@"; do
    case $argument in
    --out | --out=* | --plot | --plot=* | --merge | --merge=*)
        echo "$argument cannot be used over SSH; profiles are fetched beside the stores" >&2
        exit 1
        ;;
    esac
    arguments+=" $(printf %q "$argument")"
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

folders=
for store in "${stores[@]}"; do
    name=$(basename "$store")
    folder=.legodnn/stores/$name
    sum=$(sha256sum <"$store/manifest.json")
    if [[ $(remote "sha256sum <$folder/manifest.json 2>/dev/null" || true) != "$sum" ]]; then
        echo "sending $store" >&2
        # It gets its name when all of it has arrived.
        tar -C "$store" -cf - . |
            remote "rm -rf $folder $folder.part && mkdir $folder.part && tar -C $folder.part -xf - && mv $folder.part $folder"
    fi
    folders+=" $folder"
done
remote "~/.legodnn/venv/bin/legodnn profile$folders$arguments"
for store in "${stores[@]}"; do
    remote "cat .legodnn/stores/$(basename "$store").profile.json" >"$store.profile.json.tmp"
    mv "$store.profile.json.tmp" "$store.profile.json"
    echo "fetched $store.profile.json" >&2
done
