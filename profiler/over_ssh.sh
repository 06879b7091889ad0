#!/usr/bin/env bash
# Profiles stores on another device, and fetches the profiles beside the stores:
#
#     over_ssh.sh pi@raspberrypi.local stores/faces stores/scenes -- --threads 1,2,4
#
# Arguments after -- are passed to `legodnn profile`. The device needs SSH and Python 3.10 to 3.14. If legodnn is missing
# there, install_on_device.sh installs it from the wheel that $LEGODNN_WHEEL names (`make dist` makes it).
# $SSH_OPTIONS is passed to ssh. After an interruption, the same command goes on where the device was.
set -euo pipefail

usage() {
    sed -n '2,9s/^# \{0,1\}//p' "$0"
    exit "$1"
}

# Succeed if a pattern matches all of a text. Letters are those of ASCII, whatever the locale is.
matches() {
    local LC_ALL=C
    [[ $1 =~ ^$2$ ]]
}

# Print a text as one word of any POSIX shell; printf's %q makes words that only bash understands.
quoted() {
    printf "'%s'" "${1//\'/\'\\\'\'}"
}

[[ ${1:-} == -h || ${1:-} == --help ]] && usage 0
[[ $# -ge 2 ]] || usage 2
host=$1
shift
# ssh would take another name for an option, and a ProxyCommand would take it for words of a shell command.
matches "$host" '[A-Za-z0-9_[][]A-Za-z0-9_.@:/%+~[-]*' && [[ $host != *@-* ]] ||
    { echo "${host@Q} is no host: give USER@HOST, a name of ~/.ssh/config, or ssh://USER@HOST:PORT" >&2; exit 1; }
stores=()
names=()
while [[ $# -gt 0 && $1 != -- ]]; do
    [[ $1 != -* ]] || set -- "./$@"
    [[ -f $1/manifest.json ]] || { echo "$1 is not a store: it has no manifest.json" >&2; exit 1; }
    store=${1%/}
    name=$(basename -- "$store")
    # On the device the names are folders in shell commands.
    matches "$name" '[A-Za-z0-9_][A-Za-z0-9_.+-]*' ||
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
    --o* | --pl* | --m*) # --out, --plot and --merge, which may be abbreviated
        echo "$argument cannot be used over SSH; profiles are fetched beside the stores" >&2
        exit 1
        ;;
    esac
    arguments+=" $(quoted "$argument")"
done
wheel=${LEGODNN_WHEEL:-}
if [[ -n $wheel ]]; then
    [[ -f $wheel ]] || { echo "LEGODNN_WHEEL names ${wheel@Q}, which is no file" >&2; exit 1; }
    matches "$(basename -- "$wheel")" '[A-Za-z0-9_][A-Za-z0-9_.+!-]*[.]whl' ||
        { echo "LEGODNN_WHEEL names ${wheel@Q}, which is not called as a wheel is: legodnn-VERSION-py3-none-any.whl" >&2; exit 1; }
fi

# Run a command on the device by sh, whatever the login shell is.
# shellcheck disable=SC2086  # options are words
remote() { ssh ${SSH_OPTIONS:-} "$host" "exec sh -c $(quoted "$1")"; }

remote 'mkdir -p ~/.legodnn/stores'
if ! remote '~/.legodnn/venv/bin/legodnn --version' >/dev/null 2>&1; then
    # It is not on the package index yet, where anybody may publish another package under this name.
    [[ -n $wheel ]] ||
        { echo "$host has no legodnn: say LEGODNN_WHEEL=dist/legodnn-....whl (\`make dist\` makes it)" >&2; exit 1; }
    echo "installing legodnn on $host" >&2
    package=.legodnn/$(basename -- "$wheel")
    remote "cat > $(quoted "$package")" <"$wheel"
    remote "sh -s $(quoted "$package") >&2" <"$(dirname -- "$0")/install_on_device.sh"
fi

folders=
for store in "${stores[@]}"; do
    name=$(basename -- "$store")
    folder=.legodnn/stores/$name
    sum=$(sha256sum <"$store/manifest.json")
    if [[ $(remote "sha256sum <$folder/manifest.json 2>/dev/null" || true) != "$sum" ]]; then
        echo "sending $store" >&2
        # The folder gets its name only when all files have arrived.
        tar -C "$store" -cf - . |
            remote "rm -rf $folder $folder.part && mkdir $folder.part && tar -C $folder.part -xf - && mv $folder.part $folder"
    fi
    folders+=" $folder"
done
remote "~/.legodnn/venv/bin/legodnn profile$folders$arguments"
for store in "${stores[@]}"; do
    remote "cat .legodnn/stores/$(basename -- "$store").profile.json" >"$store.profile.json.tmp"
    mv "$store.profile.json.tmp" "$store.profile.json"
    echo "fetched $store.profile.json" >&2
done
