#!/usr/bin/env bash
# A real Kubernetes API server for the tests, made from Debian's packages (once a machine).
#
# Leaves kube-apiserver, etcd and kubectl in one folder, as KUBEBUILDER_ASSETS names it for
# everybody else who tests this way (envtest). kube-apiserver is not packaged: it is built from
# Debian's source package, which takes about six minutes on two cores.
set -euo pipefail

version=1.20.2
cache="${XDG_CACHE_HOME:-${HOME:?HOME or XDG_CACHE_HOME must be set}/.cache}/fugata/envtest"
target="$cache/$version"
binaries=(kube-apiserver etcd kubectl)

say() { printf 'kube-assets: %s\n' "$*"; }
die() { printf 'kube-assets: %s\n' "$*" >&2; exit 1; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

if [ -n "${KUBEBUILDER_ASSETS:-}" ] && [ -x "$KUBEBUILDER_ASSETS/kube-apiserver" ]; then
    say "KUBEBUILDER_ASSETS has an API server: $KUBEBUILDER_ASSETS"
    exit 0
fi
if [ -x "$target/kube-apiserver" ]; then
    say "ready: $target"
    exit 0
fi
command -v apt-get >/dev/null || die "this machine has no apt-get. Elsewhere setup-envtest fetches \
the binaries: point KUBEBUILDER_ASSETS at its folder."

# --- What the build needs ---

missing=()
need() { command -v "$1" >/dev/null || missing+=("$2"); }
need go golang-go
need make make
need rsync rsync
need jq jq
need dpkg-source dpkg-dev
need patch patch
if [ ${#missing[@]} -gt 0 ]; then
    say "installing ${missing[*]}"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

# A folder beside the target: it becomes the cache by being renamed, whole or not at all. What an
# earlier build left when it was broken off is older than any build takes.
mkdir -p "$cache"
find "$cache" -maxdepth 1 -name '.build-*' -mmin +120 -exec rm -rf {} +
work="$(mktemp -d "$cache/.build-XXXXXX")"
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP

# --- Fetch: an apt of its own, so that nothing of the machine's is changed or installed ---

mkdir -p "$work"/apt/{lists/partial,cache/archives/partial,sources} "$work"/{fetched,bin}
: >"$work/apt/status"
shopt -s nullglob
for list in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [ -f "$list" ] || continue
    # both the binary packages and the sources of each place that the machine knows
    sed -nE 's/^deb(-src)?[[:space:]]/deb /p; s/^deb(-src)?[[:space:]]/deb-src /p' "$list" | sort -u \
        >"$work/apt/sources/$(basename "$list")"
done
for list in /etc/apt/sources.list.d/*.sources; do
    sed -E 's/^Types:.*/Types: deb deb-src/' "$list" >"$work/apt/sources/$(basename "$list")"
done
apt_options=(
    -o "Dir::Etc::sourcelist=/dev/null"
    -o "Dir::Etc::sourceparts=$work/apt/sources"
    -o "Dir::State::lists=$work/apt/lists"
    -o "Dir::State::status=$work/apt/status"
    -o "Dir::Cache=$work/apt/cache"
    -o "APT::Sandbox::User=$(id -un)"
    -o "APT::Get::List-Cleanup=false"
)

say "reading the package lists"
# A place that has no sources makes this fail; what matters is whether the packages are found.
apt-get "${apt_options[@]}" -qq update >"$work/update.log" 2>&1 || true

say "fetching etcd, kubectl and the source of Kubernetes (60 MB)"
cd "$work/fetched"
apt-get "${apt_options[@]}" -qq download etcd-server kubernetes-client >"$work/fetch.log" 2>&1 &&
    apt-get "${apt_options[@]}" -qq --download-only source kubernetes >>"$work/fetch.log" 2>&1 ||
    { cat "$work/update.log" "$work/fetch.log" >&2; die "Debian's packages could not be fetched."; }
found="$(sed -n 's/^Version: //p' kubernetes_*.dsc | head -n 1)" # such as 1.20.5+really1.20.2-1.1
[[ "$found" == *"$version"-* ]] ||
    die "this Debian has Kubernetes $found, and the tests are made for $version (bookworm)."

for package in etcd-server kubernetes-client; do
    dpkg-deb -x ${package}_*.deb "$work/$package"
done
install -m 755 "$work/etcd-server/usr/bin/etcd" "$work/kubernetes-client/usr/bin/kubectl" "$work/bin"

# --- Build ---

export GOPATH="$work/go" GOCACHE="$work/go-cache" CGO_ENABLED=0 GO111MODULE=off GOFLAGS=
tree="$GOPATH/src/k8s.io/kubernetes"
mkdir -p "$(dirname "$tree")"
say "unpacking"
dpkg-source -x kubernetes_*.dsc "$tree" >"$work/unpack.log" 2>&1 ||
    { cat "$work/unpack.log" >&2; die "the source could not be unpacked."; }
say "building kube-apiserver (about six minutes on two cores)"
started=$SECONDS
make -C "$tree" WHAT=cmd/kube-apiserver >"$work/build.log" 2>&1 &
build=$!
while kill -0 "$build" 2>/dev/null; do
    sleep 2
    [ $(((SECONDS - started) / 30)) = "${told:-0}" ] && continue
    told=$(((SECONDS - started) / 30))
    say "still building, $((SECONDS - started)) seconds"
done
wait "$build" || { tail -n 40 "$work/build.log" >&2; die "the build failed."; }
install -m 755 "$tree/_output/bin/kube-apiserver" "$work/bin"

# --- Finish ---

for binary in "${binaries[@]}"; do
    [ -x "$work/bin/$binary" ] || die "$binary is missing from what was built."
done
if ! mv -T "$work/bin" "$target" 2>/dev/null && [ ! -x "$target/kube-apiserver" ]; then
    rm -rf "$target" # half a folder that somebody left there
    mv -T "$work/bin" "$target"
fi
say "ready: $target"
