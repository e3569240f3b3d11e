"""Prints the path of a folder with the given Python packages, made under .tools/ where it is missing.

    python3 tools/packages.py NAME REQUIREMENT...

The folder, which goes on PYTHONPATH, is made once per Python and list of requirements; calls at the same time wait for
one another. A Python that comes without pip borrows one from a virtual environment. All else that this says goes to
standard error.
"""

import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys

TOOLS = pathlib.Path(__file__).resolve().parent.parent / ".tools"


def install(folder: pathlib.Path, requirements: list[str]) -> None:
    """Fills `folder` with the packages, by whichever pip this machine has."""
    target = ["install", "--quiet", "--disable-pip-version-check", "--root-user-action=ignore", "--target", str(folder), *requirements]
    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True).returncode == 0:
        subprocess.run([sys.executable, "-m", "pip", *target], check=True, stdout=sys.stderr)
        return
    venv = folder.with_name(folder.name + ".pip")
    made = subprocess.run([sys.executable, "-m", "venv", "--clear", str(venv)], stdout=sys.stderr)
    if made.returncode != 0:
        sys.exit("this Python has neither pip nor venv; on Debian: apt-get install python3-venv")
    try:
        subprocess.run([str(venv / "bin" / "python3"), "-m", "pip", *target], check=True, stdout=sys.stderr)
    finally:
        shutil.rmtree(venv, ignore_errors=True)


def main() -> None:
    name, requirements = sys.argv[1], sys.argv[2:]
    digest = hashlib.sha256("\n".join([sys.version, *requirements]).encode()).hexdigest()[:12]
    folder = TOOLS / f"{name}-{digest}"
    TOOLS.mkdir(exist_ok=True)
    with open(TOOLS / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            print(f"installing {' '.join(requirements)} into {folder.relative_to(TOOLS.parent)}", file=sys.stderr)
            # Made beside its place and renamed into it, so that an interrupted install is never mistaken for one.
            half = folder.with_name(folder.name + ".half")
            shutil.rmtree(half, ignore_errors=True)
            install(half, requirements)
            os.rename(half, folder)
    print(folder)


main()
