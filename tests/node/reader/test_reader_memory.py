"""The reader uses freed memory again without asking the system for it, and gives it back when there is no work."""

from __future__ import annotations

import subprocess
import sys

MEASURED = """
import resource
import numpy as np
from node.reader.memory import give_back_freed_memory, keep_freed_memory

BLOCK_MB, PAGES_OF_A_BLOCK = 128, 128 * 1024 // 4

def pages_cleared():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def resident_pages():
    return int(open("/proc/self/statm").read().split()[1])

def use_a_block():
    np.ones(BLOCK_MB << 20, dtype=np.uint8)

def cleared_by_a_second_block():
    use_a_block()
    before = pages_cleared()
    use_a_block()
    return (pages_cleared() - before) / PAGES_OF_A_BLOCK

usually = cleared_by_a_second_block()
keep_freed_memory()
kept = cleared_by_a_second_block()
before = resident_pages()
give_back_freed_memory()
print(usually, kept, (before - resident_pages()) / PAGES_OF_A_BLOCK)
"""


def test_freed_memory_is_used_again_and_given_back_when_idle() -> None:
    told = subprocess.run([sys.executable, "-c", MEASURED], stdout=subprocess.PIPE, check=True, text=True).stdout
    usually, kept, given_back = (float(share) for share in told.split())
    assert usually > 0.0
    assert kept < 0.01
    assert given_back > 0.9
