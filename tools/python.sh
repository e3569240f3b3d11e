#!/bin/sh
# Runs python3 with the packages that the tests' Python clients need: tools/python.sh SCRIPT [ARGUMENT...]
set -eu

command -v python3 >/dev/null || { echo "python3 is missing" >&2; exit 1; }
here=$(cd "$(dirname "$0")" && pwd)
PYTHONPATH=$(python3 "$here/packages.py" python grpcio==1.85.1 xds-protos==1.85.0)
export PYTHONPATH
exec python3 "$@"
