#!/bin/sh
# Installs legodnn on a device, into ~/.legodnn/venv, and shows what `legodnn doctor` finds there:
#
#     sh install_on_device.sh legodnn-0.1.0-py3-none-any.whl
#
# For a 32-bit Python (32-bit ARM, whatever its kernel calls the machine) the package index has no ai-edge-litert, and no
# wheels of numpy and psutil. There this installs tflite-runtime, and uses the system's own numpy and psutil.
# $PYTHON is the Python that makes the environment (default: python3), $LEGODNN_VENV is where to make it.
set -eu

# The shell reads this whole function before it runs anything, since the script may come from standard input.
main() {
    if [ $# -ne 1 ] || [ -z "$1" ]; then
        echo "usage: sh install_on_device.sh WHEEL" >&2
        exit 2
    fi
    python=${PYTHON:-python3}
    venv=${LEGODNN_VENV:-$HOME/.legodnn/venv}
    bits=$("$python" -c 'import struct; print(8 * struct.calcsize("P"))')
    if [ "$bits" -ge 64 ]; then
        "$python" -m venv "$venv"
        "$venv/bin/python" -m pip install --quiet -- "$1"
    else
        if ! "$python" -c 'import sys; sys.exit(sys.version_info[:2] > (3, 11))'; then
            echo "no TensorFlow Lite runtime is published for $bits bits and this Python: use Python 3.11 (Debian 12)," \
                "or a 64-bit system" >&2
            exit 1
        fi
        if ! "$python" -c 'import numpy, psutil, venv, ensurepip' 2>/dev/null; then
            echo "first: sudo apt install python3-numpy python3-psutil python3-venv" >&2
            exit 1
        fi
        "$python" -m venv --system-site-packages "$venv"
        "$venv/bin/python" -m pip install --quiet \
            'tflite-runtime>=2.14,<3' 'pydantic>=2.9,<3' 'typing-extensions>=4.6,<5' "tomli>=2; python_version < '3.11'"
        "$venv/bin/python" -m pip install --quiet --no-deps -- "$1"
    fi </dev/null
    "$venv/bin/legodnn" doctor
}

main "$@"
