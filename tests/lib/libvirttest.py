# SPDX-License-Identifier: Apache-2.0
"""libvirt for tests that meet it without dvm: its daemon, virsh, a target."""

import os
import pathlib
import shutil
import signal
import subprocess
import uuid

from hosttest import wait_for

URI = "qemu:///system"


def run(*argv, **kw):
    return subprocess.run([str(a) for a in argv], check=True, text=True, capture_output=True, **kw).stdout


def virsh(*argv):
    return run("virsh", "-q", "-c", URI, *argv)


def libvirtd_start():
    subprocess.run(["libvirtd", "-d"], check=True)
    wait_for(lambda: subprocess.run(["virsh", "-q", "-c", URI, "version"], capture_output=True).returncode == 0,
                      "libvirt")


def libvirtd_kill():
    daemon = int(pathlib.Path("/run/libvirtd.pid").read_text())
    os.kill(daemon, signal.SIGKILL)
    wait_for(lambda: not pathlib.Path(f"/proc/{daemon}").exists(), "libvirtd's end")


class Target:
    """A libvirt domain, defined in the ordinary way."""

    def __init__(self, folder, tiny, name="patient", serial="<serial type='pty'/>"):
        self.name = name
        self.uuid = str(uuid.uuid4())
        self.disk = folder / f"{name}.qcow2"
        shutil.copy(tiny / "disk.qcow2", self.disk)
        for file in ("vmlinuz", "initrd"):
            shutil.copy(tiny / file, folder / file)
        self.xml = folder / f"{name}.xml"
        self.xml.write_text(
            f"<domain type='qemu'><name>{name}</name><uuid>{self.uuid}</uuid><memory unit='MiB'>128</memory><vcpu>1</vcpu>"
            f"<os><type arch='x86_64' machine='pc'>hvm</type><kernel>{folder}/vmlinuz</kernel>"
            f"<initrd>{folder}/initrd</initrd><cmdline>console=ttyS0 quiet cryptomgr.notests=1</cmdline>"
            f"<bios useserial='yes'/></os><features><acpi/></features><devices>"
            f"<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{self.disk}'/>"
            f"<target dev='vda' bus='virtio'/></disk>{serial}<memballoon model='none'/></devices></domain>"
        )
        virsh("define", self.xml)

    def remove(self):
        subprocess.run(["virsh", "-q", "-c", URI, "destroy", self.name], capture_output=True)
        virsh("undefine", self.name)
