#!/usr/bin/env bash
# A real Kubernetes API server for the tests, built once a machine from Go modules (assets/).
#
# Leaves kube-apiserver, kubectl and etcd in one folder, as KUBEBUILDER_ASSETS names it for
# everybody else who tests this way (envtest).
set -euo pipefail

modules="$(cd "$(dirname "$0")" && pwd)/assets"
version="$(sed -nE 's/.*k8s.io\/kubernetes v([0-9.]+).*/\1/p' "$modules/kubernetes/go.mod")"
oldest="$(sed -n 's/^go //p' "$modules/kubernetes/go.mod")"
cache="${XDG_CACHE_HOME:-${HOME:?HOME or XDG_CACHE_HOME must be set}/.cache}/fugata/envtest"
target="$cache/$version"

say() { echo "kube-assets: $*"; }
die() { say "$*" >&2; exit 1; }
ready() { [ -x "$1/kube-apiserver" ] && say "ready: $1"; }

ready "${KUBEBUILDER_ASSETS:-}" || ready "$target" && exit
# Go's own settings file is read too (its proxy), and only a flag of ours outdoes the flags there.
export CGO_ENABLED=0 GOFLAGS=-mod=readonly GOWORK=off GOTOOLCHAIN=local
found="$(go env GOVERSION 2>/dev/null)" || found=
printf '%s\n' "go$oldest" "$found" | sort -VC || die "Go $oldest or newer is needed (found: ${found:-none}): \
install it, or point KUBEBUILDER_ASSETS at a folder that setup-envtest made."

mkdir -p "$cache"
find "$cache" -maxdepth 1 -name '.build-*' -mmin +120 -exec rm -rf {} + # broken off long ago
work="$(mktemp -d "$cache/.build-XXXXXX")"
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP
export GOCACHE="$work/go-build" # gigabytes that nothing else can use

build() { # MODULE, and what `go build` is told
    go build -C "$modules/$1" -v -trimpath "${@:2}" 2>&1 | tee "$work/log" |
        awk -v of="$1" '!(NR % 200) { print "kube-assets: " NR " packages of " of; fflush() }' ||
        { tail -n 20 "$work/log" >&2; die "the build of $1 failed."; }
}
say "building Kubernetes $version and etcd (about four minutes on two cores)"
stamp=k8s.io/component-base/version # what the server answers when asked for its version
IFS=. read -r major minor _ <<<"$version"
build kubernetes -o "$work/$version/" -ldflags "-s -w -X $stamp.gitVersion=v$version \
-X $stamp.gitMajor=$major -X $stamp.gitMinor=$minor" tool
build etcd -o "$work/$version/etcd" -ldflags "-s -w" tool
mv "$work/$version" "$cache/" 2>/dev/null || ready "$target" >/dev/null || die "$target is in the way."
say "ready: $target"
