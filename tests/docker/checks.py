"""Counts checks and tells each."""

import time

# Seconds. Two busy cores take long to start fifteen containers; what is well takes a fraction of this.
LIMIT = 120

BEGAN = time.monotonic()

passed = failed = 0


class Failed(Exception):
    """Something is not as it must be; what comes after it cannot be judged."""


def check(what, holds, detail=""):
    """Counts and tells one check. A failed one is the last: it ends the run."""
    global passed, failed
    verdict, after = "ok    " if holds else "FAILED", f": {detail}" if detail else ""
    print(f"{verdict} {time.monotonic() - BEGAN:6.1f}s  {what}{after}", flush=True)
    if not holds:
        failed += 1
        raise Failed(what)
    passed += 1


def wait(probe):
    """Asks `probe` until it gives a pair that begins with something true, and gives that pair, or the last one when
    time is over. The other half of the pair is how things stand."""
    deadline = time.monotonic() + LIMIT
    holds, detail = probe()
    while not holds and time.monotonic() < deadline:
        time.sleep(0.2)
        holds, detail = probe()
    return holds, detail


def until(what, probe):
    """Waits for `probe`, and checks that it came in time."""
    check(what, *wait(probe))
