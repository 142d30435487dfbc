"""The peak memory of this process."""

import resource
import sys
from pathlib import Path


def peak_resident() -> int:
    """Return the largest resident size of this process so far, in bytes.

    On Linux from ``/proc``: there ``getrusage`` counts from the size of the parent process on.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
