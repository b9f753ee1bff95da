# SPDX-License-Identifier: Apache-2.0
"""libvirt and QEMU around a D-VM: users and owners, unplugging, what survives a restart of libvirtd."""

import os
import pathlib
import subprocess
import time

import pytest
from hosttest import wait_for
from libvirttest import libvirtd_kill, libvirtd_start, virsh

UID = 65500


@pytest.fixture
def small(libvirt, tiny, folder):
    """A domain as D-VMs are: a user of its own, nothing relabelled, a shared read-only disk."""
    for file in ("vmlinuz", "initrd"):
        (folder / file).write_bytes((tiny / file).read_bytes())
    (folder / "layer").write_bytes(bytes(1 << 20))
    (folder / "spare").write_bytes(bytes(1 << 20))
    os.chown(folder / "spare", UID, UID)
    (folder / "small.xml").write_text(
        f"<domain type='qemu'><name>small</name><memory unit='MiB'>128</memory><vcpu>1</vcpu>"
        f"<os><type arch='x86_64' machine='pc'>hvm</type><kernel>{folder}/vmlinuz</kernel>"
        f"<initrd>{folder}/initrd</initrd><cmdline>console=ttyS0 quiet cryptomgr.notests=1</cmdline></os>"
        f"<features><acpi/></features><devices>"
        f"<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{folder}/layer'/>"
        f"<target dev='vda' bus='virtio'/><readonly/><shareable/><serial>root</serial></disk>"
        f"<controller type='virtio-serial'/><channel type='unix'><target type='virtio' name='org.dvm.tunnel.0'/></channel>"
        f"<serial type='file'><source path='{folder}/serial.log'/></serial><memballoon model='none'/></devices>"
        f"<seclabel type='static' model='dac' relabel='no'><label>+{UID}:+{UID}</label></seclabel></domain>"
    )
    # As dvm-hostd lets the users of D-VMs pass: Debian's package leaves it to one user of all emulators.
    emulators = pathlib.Path("/var/lib/libvirt/qemu")
    emulators.chmod(emulators.stat().st_mode | 0o001)
    virsh("create", folder / "small.xml")
    yield folder
    subprocess.run(["virsh", "-q", "destroy", "small"], capture_output=True)


def pid():
    return int(pathlib.Path("/run/libvirt/qemu/small.pid").read_text())


def serial(folder):
    return (folder / "serial.log").read_text(errors="replace") if (folder / "serial.log").exists() else ""


def disk_xml(folder, readonly=False):
    path = folder / "disk.xml"
    path.write_text(
        f"<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{folder}/spare'/>"
        f"<target dev='vdb' bus='virtio'/>{'<readonly/>' if readonly else ''}<serial>t0-vda</serial></disk>")
    return path


def has_disk():
    return "t0-vda" in virsh("dumpxml", "small")


def test_a_user_of_its_own_and_shared_files_stay_roots(small):
    assert os.stat(f"/proc/{pid()}").st_uid == UID
    for file in ("vmlinuz", "initrd", "layer"):
        assert os.stat(small / file).st_uid == 0
    virsh("destroy", "small")
    for file in ("vmlinuz", "initrd", "layer"):
        assert os.stat(small / file).st_uid == 0
    assert os.stat(small / "spare").st_uid == UID


def test_a_disk_leaves_the_live_xml_only_when_the_guest_has_let_go(small):
    wait_for(lambda: "tiny" in serial(small) or "#" in serial(small) or len(serial(small)) > 20, "the guest", 60)
    time.sleep(3)
    virsh("attach-device", "small", disk_xml(small), "--live")
    assert has_disk()
    virsh("suspend", "small")
    virsh("detach-device", "small", small / "disk.xml", "--live")
    time.sleep(1)
    assert has_disk(), "a paused guest cannot let go"
    virsh("resume", "small")
    wait_for(lambda: not has_disk(), "the guest to let go", 20)


def test_a_reset_completes_a_pending_unplug(small):
    virsh("attach-device", "small", disk_xml(small), "--live")
    virsh("suspend", "small")
    virsh("detach-device", "small", small / "disk.xml", "--live")
    assert has_disk()
    virsh("reset", "small")
    wait_for(lambda: not has_disk(), "the unplug", 5)


def test_relabelling_off_holds_for_hot_plugged_disks_too(small):
    virsh("attach-device", "small", disk_xml(small), "--live")
    assert os.stat(small / "spare").st_uid == UID
    virsh("suspend", "small")
    virsh("detach-device", "small", small / "disk.xml", "--live")
    virsh("reset", "small")
    wait_for(lambda: not has_disk(), "the unplug", 5)
    assert os.stat(small / "spare").st_uid == UID


def test_a_disk_that_the_d_vm_writes_cannot_be_started_from(small, target):
    os.chown(target.disk, UID, UID)
    (small / "disk.xml").write_text(
        f"<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{target.disk}'/>"
        f"<target dev='vdb' bus='virtio'/><serial>t0-vda</serial></disk>")
    virsh("attach-device", "small", small / "disk.xml", "--live")
    started = subprocess.run(["virsh", "-q", "start", target.name], capture_output=True, text=True)
    assert started.returncode != 0
    assert '" lock' in started.stderr


def test_a_held_start_has_its_console_in_the_live_xml(target):
    virsh("start", target.name, "--paused")
    assert virsh("domstate", target.name).strip() == "paused"
    assert "<source path='/dev/pts/" in virsh("dumpxml", target.name)


def test_domains_live_on_without_libvirtd(small):
    before = pid()
    libvirtd_kill()
    assert os.path.exists(f"/proc/{before}")
    libvirtd_start()
    assert virsh("domstate", "small").strip() == "running"
    assert pid() == before
