"""A container's view of this machine, without an engine: a root of its own, all of it read-only
but for what the container's own definition lets it write, and a user without a name or rights.

Needs root (mount namespaces). /usr, /etc and the network stay the machine's.
"""

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

#: The image's user, and its group.
USER = 10001
_SETPRIV = f"/usr/bin/setpriv --reuid={USER} --regid={USER} --clear-groups --no-new-privs"
_NO_RIGHTS = "--bounding-set=-all --inh-caps=-all"
_ROOT = """\
umask 022 # as an engine does, whatever the umask of the process that starts it
mount -t tmpfs -o mode=0755 tmpfs "$ROOT"
bind() { # bind SOURCE TARGET [ro]
    mkdir -p "$ROOT$(dirname "$2")"
    if [ -d "$1" ]; then mkdir -p "$ROOT$2"; else touch "$ROOT$2"; fi
    mount --bind "$1" "$ROOT$2"
    [ -z "${3:-}" ] || mount -o remount,bind,ro "$ROOT$2"
}
for name in bin sbin lib lib64; do
    if [ -L "/$name" ]; then
        cp -P "/$name" "$ROOT/$name"
    elif [ -d "/$name" ]; then
        bind "/$name" "/$name" ro
    fi
done
bind /usr /usr ro
bind /etc /etc ro
mkdir -p "$ROOT/dev" "$ROOT/proc" "$ROOT/run" "$ROOT/var" "$ROOT/root"
ln -s ../run "$ROOT/var/run" # relative: what is mounted below it must not land on the machine
mount --rbind /dev "$ROOT/dev"
mount --rbind /proc "$ROOT/proc"
"""


@dataclass(frozen=True)
class Container:
    """What runs, as which user, and what it sees.

    `environment` is all of the process's. `mounts`: a path in the container and what is there
    (read-only). `writable`: folders that are empty and may be written to.
    """

    command: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    mounts: Mapping[str, Path] = field(default_factory=dict)
    writable: Sequence[str] = ()
    #: Paths that the build may write to; what they are here.
    shared: Mapping[str, Path] = field(default_factory=dict)
    workdir: str = "/"
    root_user: bool = False

    def run(self, **more: Any) -> subprocess.CompletedProcess[str]:
        """Run the command to its end."""
        return subprocess.run(
            self._unshared(), env=self._clean(), capture_output=True, text=True, check=False, **more
        )

    def start(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        """Start the command; the process is the command's own, so signals reach it."""
        return subprocess.Popen(
            self._unshared(), env=self._clean(), stdout=log, stderr=subprocess.STDOUT
        )

    def _clean(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "ROOT": str(self.folder)}

    def _unshared(self) -> list[str]:
        self.folder.mkdir(parents=True, exist_ok=True)
        return ["unshare", "--mount", "--propagation", "private", "sh", "-ec", self._script()]

    def _script(self) -> str:
        lines = [_ROOT]
        for target, source in {**_interpreter(), **self.mounts}.items():
            lines.append(f"bind {shlex.quote(str(source))} {shlex.quote(target)} ro")
        for target, source in self.shared.items():
            lines.append(f"bind {shlex.quote(str(source))} {shlex.quote(target)}")
        for target in self.writable:
            lines.append(f'mkdir -p "$ROOT{target}"')
            lines.append(f'mount -t tmpfs -o mode=1777 tmpfs "$ROOT{target}"')
        lines.append('mount -o remount,ro "$ROOT"')
        return "\n".join([*lines, self._exec()])

    def _exec(self) -> str:
        variables = {"HOME": "/"} | dict(self.environment)
        given = shlex.join(f"{name}={value}" for name, value in variables.items())
        inside = f"cd {shlex.quote(self.workdir)} && exec {shlex.join(self.command)}"
        user = "" if self.root_user else f"{_SETPRIV} {_NO_RIGHTS}"
        root = 'exec /usr/sbin/chroot "$ROOT" /usr/bin/env -i'
        return f"{root} {given} {user} /bin/sh -c {shlex.quote(inside)}"


def _interpreter() -> dict[str, Path]:
    """The base image's Python is here the one that runs the tests."""
    prefix = Path(sys.base_prefix)
    return {} if prefix.is_relative_to("/usr") else {str(prefix): prefix}
