#!/bin/sh
# Prints the path of a Prometheus: $PROMETHEUS where that is set, else the one on PATH, else Debian's, which is unpacked
# under .tools/ the first time. All else that this says goes to standard error.
set -eu

tools=$(cd "$(dirname "$0")/.." && pwd)/.tools
runs() { "$1" --version >/dev/null 2>&1; }

if [ -n "${PROMETHEUS:-}" ]; then
    runs "$PROMETHEUS" || { echo "PROMETHEUS=$PROMETHEUS is no Prometheus that runs here" >&2; exit 1; }
    echo "$PROMETHEUS"
    exit 0
fi
if found=$(command -v prometheus) && runs "$found"; then
    echo "$found"
    exit 0
fi

unpacked=$tools/prometheus/usr/bin/prometheus
if ! runs "$unpacked"; then
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || {
        echo "no Prometheus on PATH and no apt-get to fetch one with: install it, or set PROMETHEUS=/path/to/prometheus" >&2
        exit 1
    }
    mkdir -p "$tools"
    half=$(mktemp -d "$tools/prometheus.XXXXXX")
    trap 'rm -rf "$half"' EXIT
    echo "unpacking Debian's prometheus into .tools/prometheus" >&2
    # apt-get fetches as another user where it may: the folder must let it in.
    chmod 755 "$half"
    (cd "$half" && { apt-get -qq download prometheus || { apt-get -qq update && apt-get -qq download prometheus; }; }) >&2
    dpkg-deb -x "$half"/prometheus_*.deb "$half/root"
    # Renamed into its place when it is whole; whoever comes second keeps what is there.
    mv -T "$half/root" "$tools/prometheus" 2>/dev/null || true
fi
runs "$unpacked" || { echo "$unpacked does not run on this machine: set PROMETHEUS=/path/to/prometheus" >&2; exit 1; }
echo "$unpacked"
