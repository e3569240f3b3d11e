#!/bin/sh
# Makes stand-ins for the base images of demo/Dockerfile and demo/docker-compose.yml, for a machine that reaches no
# registry: of Debian's packages, and of what tools/envoy.sh and tools/prometheus.sh find. Prints the settings by which
# compose takes them, one `NAME=IMAGE` a line; all else that this says goes to standard error.
#
# The stand-in for Rust has a shell but no Rust: it is for programs that are compiled already (PROGRAMS in the
# Dockerfile). With `--rust` it is a Debian with gcc and the Rust of this machine, 1 GB, which compiles.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
tools=$here/../.tools
# Other stand-ins where this script or the versions that it takes are others.
tag=$(cat "$0" "$here/envoy.sh" "$here/prometheus.sh" | sha256sum | cut -c -12)
work=

say() { echo "$*" >&2; }
made() { docker image inspect "serin-standin/$1:$tag" >/dev/null 2>&1; }
name() { echo "$1=serin-standin/$2:$tag"; }

# Debian's packages, fetched into the folder $work/debs.
fetch() {
    # apt-get fetches as another user where it may: the folder must let it in.
    mkdir -p "$work/debs"
    chmod 755 "$work" "$work/debs"
    (cd "$work/debs" && { apt-get -qq download "$@" || { apt-get -qq update && apt-get -qq download "$@"; }; }) >&2
}

unpack() { # FOLDER PACKAGE...
    folder=$1
    shift
    for package; do dpkg-deb -x "$work"/debs/"$package"_*.deb "$folder"; done
}

# An image of a folder: owned by root, as what lies in an image is.
import() { # IMAGE FOLDER [CHANGE...]
    image=serin-standin/$1:$tag
    folder=$2
    shift 2
    for change; do set -- "$@" --change "$change"; shift; done
    tar -C "$folder" --numeric-owner --owner=0 --group=0 -c . | docker import "$@" - "$image" >/dev/null
    say "made $image"
}

# As gcr.io/distroless/cc-debian12:nonroot: the C library, certificates, time zones, a user, no shell.
base() { # FOLDER
    unpack "$1" base-files libc6 libgcc-s1 libstdc++6 tzdata ca-certificates
    rm -rf "$1/usr/share/doc" "$1/usr/share/man" "$1/usr/share/lintian" "$1/usr/lib/x86_64-linux-gnu/gconv"
    mkdir -p "$1/etc/ssl/certs" "$1/home/nonroot"
    cat "$1"/usr/share/ca-certificates/mozilla/*.crt >"$1/etc/ssl/certs/ca-certificates.crt"
    printf '%s\n' root:x:0:0:root:/root:/sbin/nologin nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin \
        >"$1/etc/passwd"
    printf '%s\n' root:x:0: nonroot:x:65532: >"$1/etc/group"
    chmod 1777 "$1/tmp"
}

# Adds the commands that a Dockerfile's shell lines and a health check call.
shell() { # FOLDER
    unpack "$1" busybox-static
    for command in sh cp install mkdir wget; do ln -sf busybox "$1/bin/$command"; done
}

make_all() {
    fetch base-files libc6 libgcc-s1 libstdc++6 tzdata ca-certificates busybox-static
    base "$work/base"
    import base "$work/base" 'USER 65532:65532'

    cp -a "$work/base" "$work/shell"
    shell "$work/shell"
    import shell "$work/shell"

    envoy=$("$here/envoy.sh")
    install -D "$envoy" "$work/envoy/usr/local/bin/envoy"
    import envoy "$work/envoy"

    prometheus=$("$here/prometheus.sh")
    install "$prometheus" "$work/shell/bin/prometheus"
    import prometheus "$work/shell" 'ENTRYPOINT ["/bin/prometheus"]' 'USER 65534'
}

make_rust() {
    fetch debootstrap
    unpack "$work/debootstrap" debootstrap
    DEBOOTSTRAP_DIR=$work/debootstrap/usr/share/debootstrap sh "$work/debootstrap/usr/sbin/debootstrap" \
        --variant=minbase --include=gcc,libc6-dev,ca-certificates bookworm "$work/rust" >&2
    # Certificates as on this machine: it may stand behind others than Debian's.
    cp -L /etc/ssl/certs/ca-certificates.crt "$work/rust/etc/ssl/certs/ca-certificates.crt"
    toolchain=$(rustc --print sysroot)
    mkdir -p "$work/rust/usr/local"
    for part in bin lib; do cp -a "$toolchain/$part" "$work/rust/usr/local/"; done
    import rust "$work/rust" 'ENV PATH=/usr/local/bin:/usr/bin:/bin CARGO_HOME=/usr/local/cargo'
}

command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || {
    say "stand-ins for base images are made of Debian's packages, and here is no apt-get"
    exit 1
}
mkdir -p "$tools"
work=$(mktemp -d "$tools/base-images.XXXXXX")
trap 'rm -rf "$work"' EXIT

made prometheus || make_all
if [ "${1:-}" = --rust ]; then
    made rust || make_rust
    name RUST_IMAGE rust
else
    name RUST_IMAGE shell
fi
name BASE_IMAGE base
name ENVOY_IMAGE envoy
name PROMETHEUS_IMAGE prometheus
