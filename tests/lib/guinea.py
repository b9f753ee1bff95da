# SPDX-License-Identifier: Apache-2.0
"""A guest whose memory is looked into: what it says of itself, and dumps of its memory at that moment."""

import json
import pathlib
import shutil
import socket
import subprocess
import tempfile

import dvmtest


def image():
    out = dvmtest.BUILD / "targets" / "guinea"
    dvmtest.run(dvmtest.ROOT / "tests/images/guinea/build", "--out", out, timeout=300)
    return out


class Guinea:
    """Two CPUs, a disk with ext4, KASLR; started in a folder of its own."""

    def __init__(self, memory_mib=160):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="dvm-guinea-", dir="/tmp"))
        files = image()
        shutil.copy(dvmtest.BUILD / "targets/tiny/disk.qcow2", self.dir / "disk.qcow2")
        self.process = subprocess.Popen(
            ["qemu-system-x86_64", "-M", "pc", "-accel", "tcg,thread=multi", "-m", str(memory_mib), "-smp", "2"]
            + ["-display", "none", "-nodefaults", "-kernel", files / "vmlinuz", "-initrd", files / "initrd"]
            + ["-append", "console=ttyS0 quiet cryptomgr.notests=1 irqaffinity=0"]  # CPU 1 will hang
            + ["-serial", f"unix:{self.dir}/serial,server=on,wait=on", "-qmp", f"unix:{self.dir}/qmp,server=on,wait=off"]
            + ["-drive", f"file={self.dir}/disk.qcow2,if=virtio", "-netdev", "user,id=n,restrict=on"]
            + ["-device", "virtio-net-pci,netdev=n"]
        )
        self.serial = self.connect("serial")
        self.qmp = self.connect("qmp").makefile("rw")
        self.qmp.readline()
        self.command("qmp_capabilities")
        self.text = ""

    def connect(self, name):
        def attempt():
            s = socket.socket(socket.AF_UNIX)
            try:
                s.connect(str(self.dir / name))
                return s
            except OSError:
                s.close()
                return None

        s = dvmtest.wait_for(attempt, f"the guest's {name} socket")
        s.settimeout(120)
        return s

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def command(self, name, **arguments):
        self.qmp.write(json.dumps({"execute": name, "arguments": arguments}) + "\n")
        self.qmp.flush()
        while True:
            answer = json.loads(self.qmp.readline())
            assert "error" not in answer, answer
            if "return" in answer:
                return answer["return"]

    def until(self, mark):
        """What came on the console up to `mark`."""
        while mark not in self.text:
            part = self.serial.recv(65536)
            assert part, f"the guest ended before {mark}: {self.text[-2000:]}"
            self.text += part.decode(errors="replace").replace("\r", "")
        head, self.text = self.text.split(mark, 1)
        return head

    def do(self, line):
        self.serial.sendall(line.encode() + b"\n")
        return self.until("guinea: done\n")

    def dump(self, name):
        """The memory as it is now, in an ELF file; the guest is paused for it and goes on."""
        path = self.dir / name
        self.command("stop")
        self.command("dump-guest-memory", paging=False, protocol=f"file:{path}")
        self.command("cont")
        return path


def told(text):
    """{path: lines} of "=== path" and what follows."""
    found, lines = {}, []
    for line in text.splitlines():
        if line.startswith("=== "):
            lines = found.setdefault(line[4:], [])
        else:
            lines.append(line)
    return found
