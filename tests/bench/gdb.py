# SPDX-License-Identifier: Apache-2.0
"""gdb's remote protocol through the broker of a VM's relay, against the emulator's stub itself: single steps and reads of memory."""

import contextlib
import socket
import statistics
import sys
import time

import bench
import dvmtest
import targets
from gdbremote import Gdb
from openapi_check import DvmClient
from peer import show_ticket

STEPS, READ_BYTES = 300, 1 << 20
ADDRESS = 0x100000


def steps(gdb):
    """Single steps a second, each with what a gdb reads after it: registers, and the code there."""
    start = time.monotonic()
    for _ in range(STEPS):
        assert gdb.ask("vCont;s:1;c").startswith("T05")
        gdb.ask("g")
        gdb.ask(f"m{ADDRESS:x},10")
    return STEPS / (time.monotonic() - start)


def reads(gdb, packet):
    """MiB a second, in reads as large as a gdb makes them for that size of packets."""
    gdb.ask("Qqemu.PhyMemMode:1")
    start = time.monotonic()
    for at in range(0, READ_BYTES, packet // 2):
        assert len(gdb.ask(f"m{ADDRESS + at:x},{packet // 2:x}")) == packet
    mib = READ_BYTES / (1 << 20) / (time.monotonic() - start)
    gdb.ask("Qqemu.PhyMemMode:0")
    return mib


class Direct(Gdb):
    """The stub itself has no QStartNoAckMode."""

    def __init__(self, sock):
        super().__init__(sock, start=False)
        self.put("qSupported")
        while not self.get().startswith("PacketSize"):
            pass  # that the guest has stopped is said of itself

    def get(self):
        body = super().get()
        self.sock.sendall(b"+")
        return body


@contextlib.contextmanager
def direct(vm):
    def monitor(line):
        targets.virsh("qemu-monitor-command", vm.name, "--hmp", line)

    path = vm.dir / "gdb.sock"
    monitor(f"gdbserver unix:{path},server=on,wait=off")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(path))
        gdb = Direct(sock)
        yield gdb
        gdb.ask("D")
    monitor("gdbserver none")


@contextlib.contextmanager
def brokered(cloud, vm):
    api = DvmClient(cloud.env["DVM_URL"], token=cloud.env["DVM_TOKEN"], pin=cloud.env["DVM_PIN"])
    ticket = api.ok("POST", f"/v1/vms/{vm.name}/streams", {"kind": "gdb", "mode": "rw", "raw": True})["ticket"]
    id = cloud.json("vm", "show", vm.name)["id"]
    sock, answer = show_ticket(str(cloud.state / "run/relay" / id / "stream.sock"), ticket)
    assert answer == "OK raw"
    with contextlib.closing(sock):
        yield Gdb(sock)
    dvmtest.wait_for(lambda: cloud.json("vm", "show", vm.name)["debugger"] is None, "the stub to be off")


def measure(rounds):
    raw = {"direct_steps": [], "steps": [], "direct_mib": [], "mib": []}
    with dvmtest.Cloud(uri=targets.URI, images=dvmtest.images_for_everyone()) as cloud, targets.Tiny(cloud, "bench-gdb") as vm:
        vm.boot()
        for number in range(rounds):
            print(f"gdb: round {number + 1} of {rounds}", file=sys.stderr)
            with direct(vm) as gdb:
                raw["direct_steps"].append(steps(gdb))
                raw["direct_mib"].append(reads(gdb, 0x1000))
            with brokered(cloud, vm) as gdb:
                raw["steps"].append(steps(gdb))
                raw["mib"].append(reads(gdb, 0x4000))
    median = {key: statistics.median(values) for key, values in raw.items()}
    against = "the emulator's stub itself"
    return [
        bench.row("gdb-steps", "gdb through the broker: single steps", "1/s", median["steps"], against, median["direct_steps"],
                  ">= 0.8", ratio=bench.rounds_ratio(raw["steps"], raw["direct_steps"])),
        bench.row("gdb-memory", "gdb through the broker: memory read", "MiB/s", median["mib"], against, median["direct_mib"],
                  ">= 0.9", ratio=bench.rounds_ratio(raw["mib"], raw["direct_mib"])),
    ], raw
