"""Random scripts for each kind of device: what an administrator, users of memory and the host may do.

A script is the ``steps`` of a scenario, so that one that fails can be kept as it is.
"""

from itertools import chain

from hypothesis import strategies as st

from memsim import Scenario
from memsim.scenario.scenario import FORMAT

N = 32768
REGION, BLOCKS = 0x100000, 2

VIRTIO = {
    "kind": "virtio-mem",
    "name": "vm0",
    "start_pfn": REGION,
    "region_pages": BLOCKS * N,
    "device_block_pages": 512,
}
DEVICES = {
    "virtio-mem": VIRTIO,
    "virtio-mem, big blocks": VIRTIO | {"device_block_pages": N},
    "hv-balloon": {"kind": "hv-balloon", "name": "hv0"},
    "xen-balloon": {
        "kind": "xen-balloon",
        "name": "xen0",
        "hotplug_start_pfn": 2 * N,
        "extra_start_pfn": 20000,
        "extra_pages": 300,
    },
}


def step(do, weight=1, **arguments):
    """Return as many strategies for a step as it shall be more frequent than others."""
    parts = {
        key: part if isinstance(part, st.SearchStrategy) else st.just(part) for key, part in arguments.items()
    }
    return [
        st.fixed_dictionaries({"do": st.just(do), **parts}) for _ in range(weight)
    ]  # one_of() drops doubles


def core_steps(*blocks):
    """Return what is done to memory whatever the device is; the last block is that of a DIMM beside it."""
    block = st.sampled_from(blocks)
    kinds = st.sampled_from(["movable", "unmovable"])
    types = st.sampled_from(["online_movable", "online_kernel"])
    return [
        *step("online", 4, block=block, type=types),
        *step("offline", 4, block=block),
        *step("allocate", 4, block=block, nr_pages=st.integers(1, 40), migratetype=kinds),
        *step("free", 2, block=block),
        *step("add_memory", start_pfn=blocks[-1] * N, nr_pages=N),
        *step("remove_memory", start_pfn=blocks[-1] * N, nr_pages=N),
    ]


def virtio_steps(unit):
    """Return what happens to a virtio-mem device whose sizes are multiples of ``unit`` pages."""
    few, many = st.integers(0, 12), st.sampled_from([N // 2, N, N + unit, BLOCKS * N])
    sizes = few.map(lambda count: min(count * unit, BLOCKS * N)) | many.map(
        lambda pages: pages - pages % unit
    )
    answers = st.sampled_from(["NACK", "BUSY", "ERROR", "BUSY"]) | sizes.map("RESIZE:{}".format)
    return [
        *step("virtio_mem_request", 8, device="vm0", requested_pages=sizes),
        *step("host_will", 2, device="vm0", answer=answers, times=st.integers(1, 3)),
        *step("wait", seconds=st.sampled_from([50, 300, 1000])),
    ]


def hv_steps():
    """Return what a Hyper-V host does; a hot-add's start is relative, see in_ascending_order()."""
    answers, number = st.sampled_from(["BUSY", "ERROR"]), st.integers(1, 3000)
    return [
        *step("hv_hot_add", 6, device="hv0", start_pfn=st.integers(0, 700), nr_pages=st.integers(1, 20000)),
        *step("hv_inflate", 2, device="hv0", nr_pages=number),
        *step("hv_deflate", 2, device="hv0", nr_pages=number),
        *step("host_will", device="hv0", answer=answers, times=st.integers(1, 3)),
    ]


def xen_steps():
    """Return what a Xen host does, and who borrows pages; no block is ever filled, for that is slow."""
    number, near = st.integers(1, 600), st.integers(N - 600, N + 900)
    return [
        *step("xen_balloon_target", 8, device="xen0", target_pages=near),
        *step(
            "host_will", 2, device="xen0", answer=st.sampled_from(["REFUSE", "HALF"]), times=st.integers(1, 4)
        ),
        *step("xen_balloon_lend", 2, device="xen0", nr_pages=number),
        *step("xen_balloon_take_back", device="xen0", nr_pages=number),
        *step("wait", seconds=st.sampled_from([1, 60, 3600])),
    ]


(UNBIND,) = step("virtio_mem_remove", device="vm0")
STEPS = {
    "virtio-mem": virtio_steps(512) + core_steps(32, 33, 40),
    "virtio-mem, big blocks": virtio_steps(N) + core_steps(32, 33, 40),
    "hv-balloon": hv_steps() + core_steps(32, 33, 40),
    "xen-balloon": xen_steps() + core_steps(2, 3, 40),
}


def in_ascending_order(steps):
    """Let each hot-add begin so many pages behind the end of the one before it, inside the region.

    A host does not back a page twice. One that does (``host_will REPEAT``) makes the kernel before the patch
    free pages twice; that has tests of its own.
    """
    end, result = REGION, []
    for one in steps:
        if one["do"] != "hv_hot_add":
            result.append(one)
        elif end + one["start_pfn"] + one["nr_pages"] <= REGION + BLOCKS * N:
            result.append(one | {"start_pfn": end + one["start_pfn"]})
            end += one["start_pfn"] + one["nr_pages"]
    return result


def scripts(kind, size=12):
    """Return a strategy for scripts with a device of this kind, of about ``size`` steps, at times twice that.

    Most begin with the device, for before it acts there is little to do. A driver that can be unbound is so
    late in the script, if at all.
    """
    steps = st.one_of(STEPS[kind])
    some, end = st.lists(steps, max_size=size), st.just([])
    if kind.startswith("virtio-mem"):
        end |= st.tuples(UNBIND, st.lists(steps, max_size=3)).map(lambda pair: [pair[0], *pair[1]])
    parts = st.tuples(st.lists(STEPS[kind][0], max_size=2), some, some, end)
    return parts.map(lambda lists: in_ascending_order(chain.from_iterable(lists)))


def machines(kind):
    """Return a strategy for machines with 128 MiB of boot memory and one device of this kind."""
    return st.fixed_dictionaries(
        {
            "ram": st.just([[0, N]]),
            "devices": st.just([DEVICES[kind]]),
            "default_online_type": st.sampled_from(["online_movable", "online_kernel", "offline"]),
            "memmap_on_memory": st.booleans(),
        }
    )


def scenarios(kind, size=12):
    """Return a strategy for random scenarios with a device of this kind."""
    return st.builds(scenario, machines(kind), scripts(kind, size))


def scenario(machine, steps):
    """Return a machine and a script as a scenario."""
    return Scenario.parse({"format": FORMAT, "machine": machine, "steps": steps})


def configurations():
    """Return a strategy for kernels: a release, and CONFIG_DEBUG_VM, which is slow and so less frequent."""
    debug_vm = st.sampled_from([False] * 9 + [True])
    return st.fixed_dictionaries({"release": st.sampled_from(["6.12", "6.1"]), "debug_vm": debug_vm})
