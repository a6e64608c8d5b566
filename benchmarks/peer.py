"""SnapPass, the peer, in an environment of its own, installed from a lock with hashes."""

import hashlib
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
LOCK = HERE / "requirements-peer.lock"
VENV = HERE / ".venv-peer"
STAMP = VENV / "lock.sha256"


def locked_version(name: str) -> str:
    """Return the version of `name` in the lock."""
    pins = (line.split() for line in LOCK.read_text().splitlines() if "==" in line)
    return next(pin[0].split("==")[1] for pin in pins if pin[0].startswith(f"{name}=="))


def install() -> Path:
    """Return the peer's bin folder; create the environment anew if the lock has changed."""
    wanted = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if not STAMP.exists() or STAMP.read_text() != wanted:
        print("Installing SnapPass into benchmarks/.venv-peer ...", file=sys.stderr)
        subprocess.check_call([sys.executable, "-m", "venv", "--clear", str(VENV)])
        pip = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        options = ["--disable-pip-version-check", "--require-hashes"]
        subprocess.check_call([*pip, *options, "-r", str(LOCK)])
        STAMP.write_text(wanted)
    return VENV / "bin"
