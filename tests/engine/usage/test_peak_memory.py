import subprocess
import sys

from pipeline.engine.usage import peak_memory

_CHILD = f"""
import runpy
peak_resident = runpy.run_path({peak_memory.__file__!r})["peak_resident"]
before = peak_resident()
held = bytearray(b"x" * (100 << 20))
del held
print(before, peak_resident() - before)
"""


def test_what_was_held_is_counted_and_what_a_parent_held_is_not() -> None:
    held = bytearray(b"x" * (100 << 20))
    assert peak_memory.peak_resident() > len(held)
    child = subprocess.run([sys.executable, "-c", _CHILD], capture_output=True, check=True)
    before, more = map(int, child.stdout.split())
    assert before < len(held)
    assert more > 90 << 20
