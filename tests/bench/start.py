# SPDX-License-Identifier: Apache-2.0
"""A session's start, from POST /v1/sessions to an answered SSH login: from a memory image, booting, and the bare hypervisor."""

import json
import statistics
import sys
import time

import bench
import dvmtest
import targets

STACK = "disk"


def login(cloud, vm):
    """Seconds until the session is ready, and until a login was answered. No D-VM runs or waits before."""
    start = time.monotonic()
    session = cloud.json("debug", vm, "--stack", STACK)["session"]
    ready = time.monotonic() - start
    cloud.dvm("ssh", session, "--", "true")
    answered = time.monotonic() - start
    said = cloud.dvm("session", "timeline", session).stdout
    cloud.dvm("session", "end", session)
    return ready, answered, "memory image" in said


def boot_floor():
    """Seconds the bare hypervisor needs to boot the same kernel to its first user process."""
    result = dvmtest.run(dvmtest.ROOT / "tests/bench/boot_floor", "--images", dvmtest.IMAGES, timeout=120)
    return json.loads(result.stdout)["init_s"]


def from_memory(cloud, vm):
    """Sessions until one starts from a memory image: dvm makes it of itself, a while after it was started."""
    dvmtest.wait_for(lambda: login(cloud, vm)[2], "a memory image", 180, step=5)


def measure(rounds):
    raw = {"floor_s": [], "boot_login_s": [], "cold_ready_s": [], "cold_login_s": []}
    images = dvmtest.images_for_everyone()
    with dvmtest.Cloud(uri=targets.URI, images=images) as cloud, \
            dvmtest.Cloud(uri=targets.URI, images=images, config="[dvm]\nmemory-images = no\n") as booting, \
            targets.Tiny(cloud, "bench") as vm, targets.Tiny(booting, "bench-boot") as vm_boot:
        vm.off()
        vm_boot.off()
        from_memory(cloud, vm.name)
        for number in range(rounds):
            print(f"start: round {number + 1} of {rounds}", file=sys.stderr)
            raw["floor_s"].append(boot_floor())
            raw["boot_login_s"].append(login(booting, vm_boot.name)[1])
            ready, answered, memory = login(cloud, vm.name)
            assert memory
            raw["cold_ready_s"].append(ready)
            raw["cold_login_s"].append(answered)
    median = {key: statistics.median(values) for key, values in raw.items()}
    what = "POST /v1/sessions to answered SSH login, cold"
    return [
        bench.row("session-cold-login", what, "s", median["cold_login_s"],
                  "bare QEMU, same kernel, to its first user process", median["floor_s"], "<= 1.3",
                  ratio=bench.rounds_ratio(raw["cold_login_s"], raw["floor_s"])),
        bench.row("session-cold-memory-image", what, "s", median["cold_login_s"],
                  "a D-VM that boots, as the first of its shape does", median["boot_login_s"], "<= 0.8",
                  ratio=bench.rounds_ratio(raw["cold_login_s"], raw["boot_login_s"])),
    ], raw
