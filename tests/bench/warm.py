# SPDX-License-Identifier: Apache-2.0
"""Sessions that find a D-VM waiting: the first login, the first byte of the console, many at once, and what a D-VM holds."""

import concurrent.futures
import contextlib
import re
import statistics
import subprocess
import sys
import time

import bench
import dvmtest
import targets

POOL = 8
AT_ONCE = 20
CONFIG = f"[session]\nper-project = {AT_ONCE}\n[dvm]\npool-min = {POOL}\npool-max = {POOL}\npool-memory-mib = 8192\npool-refill = 1\n"


def ready(cloud):
    metrics = dvmtest.run("curl", "-sS", "--unix-socket", cloud.state / "run/api.sock", "http://dvm/metrics").stdout
    found = re.search(r'^dvm_pool_members\{what="ready"\} (\d+)$', metrics, re.MULTILINE)
    return int(found[1]) if found else 0


def wait_full(cloud):
    dvmtest.wait_for(lambda: ready(cloud) == POOL, "the pool to be full", 300, step=1)
    time.sleep(2)  # what is done after that is done


def start(cloud, vm):
    """A session, seconds until a login was answered, and whether its D-VM had waited."""
    begin = time.monotonic()
    session = cloud.json("debug", vm)["session"]
    cloud.dvm("ssh", session, "--", "true")
    took = time.monotonic() - begin
    return session, took, "was waiting goes on" in cloud.dvm("session", "timeline", session).stdout


def end_all(cloud):
    for session in cloud.json("session", "list"):
        cloud.dvm("session", "end", session["id"])


def first_byte(cloud, vm):
    """Seconds from asking for a session to the first byte of the target's console on the user's side."""
    begin = time.monotonic()
    cloud.dvm("debug", vm, "--no-wait")
    viewer = cloud.popen("console", vm, "--read-only", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    with viewer:
        byte = viewer.stdout.read(1)
        took = time.monotonic() - begin
        viewer.kill()
    assert byte
    return took


def memory():
    """PSS in MiB of the emulators of all D-VMs, those that wait and those that are in use."""
    found = []
    for line in targets.qemu_processes():
        if "guest=dvm-" in line:
            pid = line.split()[0]
            with contextlib.suppress(OSError):
                rollup = open(f"/proc/{pid}/smaps_rollup").read()
                found.append(int(re.search(r"^Pss:\s+(\d+)", rollup, re.MULTILINE)[1]) / 1024)
    return found


def at_once(cloud, vms):
    """Seconds of AT_ONCE sessions that are asked for at the same moment."""
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        done = [future.result() for future in [pool.submit(start, cloud, vm.name) for vm in vms]]
    return sorted(took for _, took, _ in done), sum(waited for _, _, waited in done)


def measure(rounds):
    raw = {"login_s": [], "first_byte_s": [], "at_once_s": [], "pss_mib": []}
    with contextlib.ExitStack() as stack:
        cloud = stack.enter_context(dvmtest.Cloud(uri=targets.URI, images=dvmtest.images_for_everyone(), config=CONFIG))
        vms = [stack.enter_context(targets.Tiny(cloud, f"warm-{i}", disk=False)) for i in range(AT_ONCE)]
        vms[0].boot()
        for number in range(rounds):
            print(f"warm: round {number + 1} of {rounds}", file=sys.stderr)
            wait_full(cloud)
            _, took, waited = start(cloud, vms[0].name)
            assert waited
            raw["login_s"].append(took)
            raw["pss_mib"].append(memory())
            end_all(cloud)
            wait_full(cloud)
            raw["first_byte_s"].append(first_byte(cloud, vms[0].name))
            end_all(cloud)
        vms[0].off()
        wait_full(cloud)
        raw["at_once_s"], from_pool = at_once(cloud, vms)
        assert from_pool >= POOL, f"{from_pool} had waited"
        end_all(cloud)
    login, byte = statistics.median(raw["login_s"]), statistics.median(raw["first_byte_s"])
    what = "POST /v1/sessions to"
    return [
        bench.row("session-warm-login", f"{what} answered SSH login, a D-VM waits", "s", login, "limit", 0.5, "<= 1"),
        bench.row("session-warm-console", f"{what} the first byte of the console", "s", byte, "limit", 0.25, "<= 1"),
        bench.row("session-many", f"{what} answered SSH login, {AT_ONCE} at once, {POOL} wait, the last", "s", raw["at_once_s"][-1],
                  "one that waits", login, f"<= {AT_ONCE}"),
        bench.row("dvm-memory", "PSS of each further D-VM", "MiB", statistics.median(raw["pss_mib"][-1]), "limit", 64, "<= 1"),
    ], raw
