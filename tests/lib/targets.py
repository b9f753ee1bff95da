# SPDX-License-Identifier: Apache-2.0
"""Real targets for the VM tests: libvirt domains defined in the ordinary way, and a libvirt daemon to run them."""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

import dvmtest

URI = "qemu:///system"
SERIAL = {
    "pty": "<serial type='pty'/>",
    "unix": "<serial type='unix'><source mode='bind' path='{dir}/serial.sock'/></serial>",
    "tcp": "<serial type='tcp'><source mode='bind' host='127.0.0.1' service='{port}'/><protocol type='raw'/></serial>",
    "file": "<serial type='file'><source path='{dir}/serial.log'/></serial>",
    "pty+log": "<serial type='pty'><log file='{dir}/serial.log' append='off'/></serial>",
}

# What a D-VM knows that no other may: 64 random bytes, the kernel's id of this boot, the bytes from which the agent's stack
# canary is made (AT_RANDOM, 25, of getauxval(3)), its host key.
SECRETS = r"""
head -c 64 /dev/urandom | od -An -tx1 -v | tr -d ' \n'; echo
cat /proc/sys/kernel/random/boot_id
agent=$(pgrep -x agent)
at=$(od -An -v -w16 -t u8 /proc/$agent/auxv | while read key value; do [ "$key" = 25 ] && echo "$value"; done)
dd if=/proc/$agent/mem bs=1 skip="$at" count=16 2>/dev/null | od -An -tx1 -v | tr -d ' \n'; echo
cat /run/dvm/host_key.pub
"""


def virsh(*args, check=True):
    return dvmtest.run("virsh", "-c", URI, "-q", *args, check=check).stdout


def tiny_image():
    """The tiny target's kernel, initrd and data disk; made once a build folder."""
    out = dvmtest.BUILD / "targets" / "tiny"
    dvmtest.run(dvmtest.ROOT / "tests/images/tiny/build", "--out", out, timeout=300)
    return out


class Tiny:
    """
    A guest that boots in seconds from a kernel and an initramfs: prints, echoes, has a small ext4 disk.

    ports: XML of further devices; {dir} is a folder that the emulator may write to. cpus: XML of memory and processors.
    """

    def __init__(self, cloud, name, serial="pty", memory_mib=128, disk=True, adopt=True, port=0, ports="", cpus=None):
        self.cloud, self.name = cloud, name
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix=f"dvm-target-{name}-", dir="/tmp"))
        os.chmod(self.dir, 0o777)
        image = tiny_image()
        self.disk = self.dir / "disk.qcow2"
        shutil.copy(image / "disk.qcow2", self.disk)
        shutil.copy(image / "vmlinuz", self.dir / "vmlinuz")
        shutil.copy(image / "initrd", self.dir / "initrd")
        disk_xml = (
            f"<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{self.disk}'/>"
            "<target dev='vda' bus='virtio'/></disk>"
        )
        cpus = cpus or f"<memory unit='MiB'>{memory_mib}</memory><vcpu>1</vcpu>"
        self.xml = (
            f"<domain type='qemu'><name>{name}</name>{cpus}"
            f"<os><type arch='x86_64' machine='pc'>hvm</type><kernel>{self.dir}/vmlinuz</kernel>"
            f"<initrd>{self.dir}/initrd</initrd><cmdline>console=ttyS0 quiet cryptomgr.notests=1</cmdline></os>"
            f"<features><acpi/></features><devices>{disk_xml if disk else ''}"
            f"{SERIAL[serial].format(dir=self.dir, port=port)}{ports.format(dir=self.dir)}<memballoon model='none'/></devices></domain>"
        )
        (self.dir / "domain.xml").write_text(self.xml)
        virsh("define", self.dir / "domain.xml")
        if adopt:
            cloud.dvm("vm", "adopt", name)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        virsh("destroy", self.name, check=False)
        virsh("undefine", self.name, check=False)
        if not exc[0]:
            self.cloud.dvm("vm", "release", self.name, check=False)
        shutil.rmtree(self.dir, ignore_errors=True)

    def state(self):
        return virsh("domstate", self.name).strip()

    def on(self):
        self.cloud.dvm("power", "on", self.name)

    def off(self):
        if self.state() != "shut off":
            self.cloud.dvm("power", "off", self.name)

    def offset(self):
        """Where its console is now."""
        return int(self.cloud.dvm("console", self.name, "--offset").stdout)

    def boot(self):
        """Switches it on and returns what it said until its prompt."""
        offset = self.offset()
        self.on()
        return self.cloud.dvm(
            "console", self.name, "--read-only", "--from", offset, "--until", "tiny>", "--timeout", 90
        ).stdout

    def answers(self, word, *options):
        """The guest itself answers, on its console; what is typed is echoed too, and is no answer."""
        return word in self.type(f"echo {word}\r", f"\n{word}", *options)

    def type(self, text, until, *options, timeout=60):
        """Types on the console and returns what came until `until`."""
        return self.cloud.dvm(
            "console", self.name, "--live", "--until", until, "--timeout", timeout, *options, input=text, timeout=timeout + 30
        ).stdout


def domains():
    return [name for name in virsh("list", "--all", "--name").split()]


def dvms():
    """The D-VMs of sessions; one that is about to become a memory image belongs to none."""
    return [name for name in domains() if name.startswith("dvm-s-")]


def qemu_processes():
    result = subprocess.run(["pgrep", "-af", "qemu-system"], capture_output=True, text=True, check=False)
    return result.stdout.splitlines()


def qemu_pid(name):
    """The process of a running domain, as libvirt's pid file has it."""
    return int(pathlib.Path(f"/run/libvirt/qemu/{name}.pid").read_text())


def libvirtd_pid():
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                argv = (entry / "cmdline").read_bytes().split(b"\0")
                if os.path.basename(argv[0].decode(errors="replace")) == "libvirtd":
                    return int(entry.name)
    return None


def kill_libvirtd():
    """SIGKILL; whoever started it starts it again."""
    pid = dvmtest.wait_for(libvirtd_pid, "libvirtd to run")
    os.kill(pid, signal.SIGKILL)
    dvmtest.wait_for(lambda: libvirtd_pid() not in (None, pid), "libvirtd to be started again", seconds=90)


@contextlib.contextmanager
def libvirtd_stopped(cloud):
    """libvirtd stopped as by SIGSTOP of the host: it does not answer, its VMs run on."""
    pid = dvmtest.wait_for(libvirtd_pid, "libvirtd to run")
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
