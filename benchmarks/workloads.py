"""Scripts of allocations and frees, the same for everybody.

A script is a list of (order, number): number -1 allocates, another frees the allocation of that number.
"""

from __future__ import annotations

from random import Random

Script = list[tuple[int, int]]
ORDERS = range(11)
OCCUPANCY = 0.7


def mixed(nr_pages: int, steps: int, seed: int = 1) -> tuple[Script, Script]:
    """Return (fill, script): fill memory to 70 %, then free and allocate at random around that.

    Orders 0 to 10 with weight ``2**-order``; what is freed is any block that is allocated.
    """
    random = Random(seed)  # noqa: S311 (a workload, no secret)
    weights = [2.0**-order for order in ORDERS]
    used, number, held = 0, 0, []
    fill: Script = []
    script: Script = []
    while len(script) < steps:
        if used < OCCUPANCY * nr_pages:
            order = random.choices(ORDERS, weights)[0]
            (script or fill).append((order, -1))
            held.append((number, order))
            used, number = used + (1 << order), number + 1
        else:
            at = random.randrange(len(held))
            held[at], held[-1] = held[-1], held[at]
            which, order = held.pop()
            script.append((order, which))
            used -= 1 << order
    return fill, script


def ramp(pages: int, seed: int = 1) -> tuple[Script, Script]:
    """Return (fill, script): allocate single pages, then free them in random order."""
    order = list(range(pages))
    Random(seed).shuffle(order)  # noqa: S311 (a workload, no secret)
    return [(0, -1)] * pages, [(0, number) for number in order]
