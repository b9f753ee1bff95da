# SPDX-License-Identifier: Apache-2.0
"""
dvm-hostd on libvirt and QEMU: what tests/integration/test_hostd.py sees of the fake hypervisor, seen of the real one.
"""

import base64
import json
import os
import re
import select
import signal
import subprocess
import threading
import tty

import hosttest
import pytest
import rpc
from hosttest import wait_for
from libvirttest import Target, libvirtd_kill, libvirtd_start, virsh

SESSION, VM = "s-1", "v-1"
AGENT = {
    "hostname": "dvm", "keys": [], "lease_s": 600, "stacks": ["base", "disk"],
    "targets": [{"vm": VM, "name": "patient"}],
}
FIRMWARE = b"SeaBIOS"


@pytest.fixture
def host(libvirt, images):
    with hosttest.Host(libvirt) as h:
        images_link = h.state / "images"
        for entry in images.iterdir():
            if not entry.name.startswith("."):
                (images_link / entry.name).symlink_to(entry if entry.is_dir() and not entry.is_symlink() else entry.readlink())
        yield h


def ensure(host):
    return host.call("dvm.ensure", session=SESSION, image="default", stacks=["base", "disk"], memory_mib=256, vcpus=1,
                     boot_timeout_ms=120000, agent=AGENT)


def power(host, target, verb):
    return host.call("domain.power", domain=target.uuid, vm=VM, verb=verb)["state"]


def fault_of(function, *args, **params):
    with pytest.raises(rpc.Fault) as caught:
        function(*args, **params)
    assert "/" not in caught.value.message
    return caught.value.code


def test_session_from_start_to_end(host):
    first = ensure(host)
    assert first["host_key"].startswith("ssh-ed25519 ")
    assert ensure(host) == first
    host.restart()
    assert ensure(host) == first
    pid = host.relay_pids()[SESSION]
    os.kill(pid, signal.SIGKILL)
    host.peer.wait_notice("relay.back", session=SESSION)
    wait_for(lambda: host.session(SESSION)["agent"], "the agent")
    assert ensure(host) == first
    libvirtd_kill()
    host.peer.wait_notice("hypervisor", up=False)
    assert fault_of(host.call, "session.release", session=SESSION) == "hypervisor-away"
    libvirtd_start()
    host.peer.wait_notice("hypervisor", up=True)
    assert ensure(host) == first
    host.call("session.release", session=SESSION)
    host.call("session.release", session=SESSION)
    assert "dvm-" not in virsh("list", "--all", "--name")


def test_d_vm_that_goes_away(host):
    ensure(host)
    virsh("destroy", f"dvm-{SESSION}")
    host.peer.wait_notice("dvm.lost", session=SESSION)
    assert fault_of(ensure, host) == "dvm-lost"


def test_no_trace_of_the_host_in_the_domains_xml_but_its_paths(host):
    ensure(host)
    xml = virsh("dumpxml", f"dvm-{SESSION}")
    assert f'id="{SESSION}"' in xml
    (host.folder / "dvm.xml").write_text(xml)
    subprocess.run(["virt-xml-validate", host.folder / "dvm.xml"], check=True)
    for absent in ("<interface", "<graphics", "<hostdev", "host-passthrough", "qemu64"):
        assert absent not in xml


def test_power_converges(host, target):
    for verb, state in [("on", "running"), ("on", "running"), ("pause", "paused"), ("pause", "paused"),
                        ("resume", "running"), ("resume", "running"), ("reset", "running"), ("reboot", "running"),
                        ("nmi", "running"), ("off", "off"), ("off", "off"), ("shutdown", "off")]:
        assert power(host, target, verb) == state, verb
    for verb in ("reset", "pause", "resume", "nmi", "reboot"):
        assert fault_of(power, host, target, verb) == "vm-not-running"


def test_console_has_every_byte_from_power_on(host, target):
    host.call("console.ensure", vm=VM, domain=target.uuid)
    power(host, target, "on")
    shown = host.read_console(VM, FIRMWARE, 60)
    assert shown[: shown.index(FIRMWARE)].lstrip(b"\x1bc[?7l2J0m") == b""
    power(host, target, "reset")
    host.read_console(VM, FIRMWARE, 60, times=2)


@pytest.mark.parametrize("serial", [
    "<serial type='unix'><source mode='bind' path='{folder}/serial.sock'/></serial>",
    "<serial type='tcp'><source mode='bind' host='127.0.0.1' service='4711'/><protocol type='raw'/></serial>",
    "<serial type='file'><source path='{folder}/serial.log'/></serial>",
    "<console type='pty'><target type='serial'/></console>",
    "<serial type='null'><log file='{folder}/serial.log'/></serial>",
])
def test_consoles_whatever_their_backend(host, libvirt, tiny, folder, serial):
    folder.chmod(0o777)
    target = Target(folder, tiny, serial=serial.format(folder=folder))
    try:
        host.call("console.ensure", vm=VM, domain=target.uuid)
        power(host, target, "on")
        host.read_console(VM, FIRMWARE, 60)
        power(host, target, "off")
        wait_for(lambda: not host.console(VM)["up"], "the console's end")
        power(host, target, "on")
        wait_for(lambda: host.console(VM)["up"], "the console")
    finally:
        target.remove()


def test_history_of_a_console_that_was_logged(host, libvirt, tiny, folder):
    folder.chmod(0o777)
    target = Target(folder, tiny, serial=f"<serial type='pty'><log file='{folder}/serial.log'/></serial>")
    try:
        virsh("start", target.name)
        wait_for(lambda: (folder / "serial.log").read_bytes().count(b"tiny") > 0, "the guest", 60)
        host.call("console.ensure", vm=VM, domain=target.uuid)
        assert FIRMWARE in host.read_console(VM, b"tiny")
        host.call("console.ensure", vm=VM, domain=target.uuid)
        assert host.read_console(VM, b"tiny").count(FIRMWARE) == 1
        assert host.console(VM)["up"]
    finally:
        target.remove()


def test_console_of_a_domain_that_is_still_being_started(host, libvirt, tiny, folder):
    """libvirt gives it its id before the emulator gives the console its pty: the log must not be taken for the console then."""
    folder.chmod(0o777)
    target = Target(folder, tiny, serial=f"<serial type='pty'><log file='{folder}/serial.log'/></serial>")
    held, emulator = folder / "held", folder / "emulator"
    held.touch()
    emulator.write_text(
        f'#!/bin/sh\ncase "$*" in *guest=patient*) while [ -e {held} ]; do sleep 0.02; done ;; esac\n'
        'exec /usr/bin/qemu-system-x86_64 "$@"\n'
    )
    emulator.chmod(0o755)
    target.xml.write_text(target.xml.read_text().replace("<devices>", f"<devices><emulator>{emulator}</emulator>"))
    virsh("define", target.xml)
    try:
        with subprocess.Popen(["virsh", "-q", "-c", libvirt, "start", target.name]) as start:
            wait_for(lambda: "starting up" in virsh("domstate", "--reason", target.name), "the domain to be in the making")
            xml = virsh("dumpxml", target.name)
            assert " id='" in xml.splitlines()[0] and "/dev/pts/" not in xml
            ensured = host.call("console.ensure", vm=VM, domain=target.uuid)
            held.unlink()
        assert (start.returncode, ensured["up"]) == (0, False)
        wait_for(lambda: host.console(VM)["up"], "the console")
        assert any(os.readlink(fd).startswith("/dev/pts/") for fd in os.scandir(f"/proc/{host.relay_pids()[VM]}/fd"))
    finally:
        held.unlink(missing_ok=True)
        target.remove()


def rotate(log):
    """As virtlogd does it: see test_virtlogd_rotates_by_renaming()."""
    for older, newer in (("2", "1"), ("1", "0")):
        if os.path.exists(f"{log}.{newer}"):
            os.rename(f"{log}.{newer}", f"{log}.{older}")
    os.rename(log, f"{log}.0")
    log.touch()


def test_virtlogd_rotates_by_renaming(libvirt, tiny, folder):
    """FILE becomes FILE.0, with its inode, FILE.0 becomes FILE.1; what is split between two is whole in both."""
    folder.chmod(0o777)
    log = folder / "serial.log"
    target = Target(folder, tiny, serial=f"<serial type='pty'><log file='{log}'/></serial>")
    try:
        virsh("start", target.name)
        first = os.stat(log).st_ino
        pty = os.open(re.search(r"/dev/pts/\d+", virsh("dumpxml", target.name)).group(), os.O_RDWR | os.O_NOCTTY)
        tty.setraw(pty)
        wait_for(lambda: b"tiny> " in log.read_bytes(), "the guest", 60)
        os.write(pty, b"lines 15000\r")
        seen = b""
        while b"line 15000\r\n" not in seen:
            assert select.select([pty], [], [], 60)[0], seen[-200:]
            seen += os.read(pty, 65536)
        os.close(pty)
        files = [folder / f"serial.log{suffix}" for suffix in (".2", ".1", ".0", "")]
        wait_for(lambda: b"line 15000\r\n" in log.read_bytes(), "the last line in the log")
        assert first in [os.stat(file).st_ino for file in files if file.exists()][:-1]
        there = [file.read_bytes() for file in files if file.exists()]
        for old, new in zip(there, there[1:]):
            numbers = [int(n) for n in re.findall(rb"line (\d+)\r\n", old[-100:] + new[:100])]
            assert len(numbers) > 5 and numbers == list(range(numbers[0], numbers[-1] + 1))
    finally:
        target.remove()


def test_console_in_a_file_that_is_rotated(host, libvirt, tiny, folder):
    """Not a byte is missed, nor read twice, whoever of us is away; what is kept no longer is a gap."""
    folder.chmod(0o777)
    log = folder / "serial.log"
    target = Target(folder, tiny, serial=f"<serial type='file'><source path='{log}'/></serial>")
    said = 0

    def say(times, rotations=0):
        nonlocal said
        for n in range(times):
            said += 1
            with open(log, "ab") as file:
                file.write(b"<said %d>" % said)
            if n < rotations:
                rotate(log)

    def shown():
        return [int(n) for n in re.findall(rb"<said (\d+)>", host.read_console(VM, b"<said %d>" % said, 60))]

    try:
        virsh("start", target.name)
        host.call("console.ensure", vm=VM, domain=target.uuid)
        host.read_console(VM, b"tiny> ", 60)
        for _ in range(5):
            say(2, 1)
            assert shown() == list(range(1, said + 1))
        say(4, 3)
        assert shown() == list(range(1, said + 1))
        host.hostd.kill()
        say(3, 2)
        os.kill(host.relay_pids()[VM], signal.SIGKILL)
        say(2, 1)
        host.start()
        wait_for(lambda: host.console(VM)["up"], "the console")
        assert shown() == list(range(1, said + 1))
        assert host.console(VM)["up"]
    finally:
        target.remove()


def test_console_that_nobody_can_open(host, libvirt, tiny, folder):
    target = Target(folder, tiny, serial="<serial type='null'/>")
    try:
        assert host.call("console.ensure", vm=VM, domain=target.uuid) == {"up": False, "offset": 0}
        assert power(host, target, "on") == "running"
        assert host.call("console.ensure", vm=VM, domain=target.uuid) == {"up": False, "offset": 0}
    finally:
        target.remove()


def test_console_follows_starts_behind_our_back(host, target, folder):
    host.call("console.ensure", vm=VM, domain=target.uuid)
    for serial in ("<serial type='pty'/>", f"<serial type='unix'><source mode='bind' path='{folder}/s.sock'/></serial>"):
        virsh("start", target.name)
        host.peer.wait_notice("domain.changed", uuid=target.uuid, event="started")
        wait_for(lambda: host.console(VM)["up"], "the console")
        virsh("destroy", target.name)
        wait_for(lambda: not host.console(VM)["up"], "the console's end")
        folder.chmod(0o777)
        target.xml.write_text(target.xml.read_text().replace("<serial type='pty'/>", serial))
        virsh("define", target.xml)


def test_disks_come_and_go(host, target):
    os.chown(target.disk, 1234, 1234)
    ensure(host)
    params = dict(session=SESSION, vm=VM, domain=target.uuid, index=0, mode="rw")
    for _ in range(2):
        assert host.call("attach.disk", **params) == {"devices": ["t0-vda"]}
    assert fault_of(power, host, target, "on") == "vm-fenced"
    assert subprocess.run(["virsh", "-q", "start", target.name], capture_output=True).returncode != 0
    host.restart()
    assert host.session(SESSION)["disks"][0]["devices"] == ["t0-vda"]
    for _ in range(2):
        assert host.call("detach.disk", session=SESSION, vm=VM) == {}
    assert (os.stat(target.disk).st_uid, os.stat(target.disk).st_gid) == (1234, 1234)
    assert power(host, target, "on") == "running"
    assert fault_of(host.call, "attach.disk", **params) == "vm-running"


def test_disk_of_a_d_vm_that_hangs(host, target):
    """The D-VM does not answer the unplug request: it is reset, and the disk is free."""
    os.chown(target.disk, 1234, 1234)
    ensure(host)
    host.call("attach.disk", session=SESSION, vm=VM, domain=target.uuid, index=0, mode="rw")
    # It reboots for ever: nobody there who would answer.
    stop = threading.Event()

    def shake():
        while not stop.wait(0.5):
            subprocess.run(["virsh", "-q", "suspend", f"dvm-{SESSION}"], capture_output=True)

    thread = threading.Thread(target=shake)
    thread.start()
    try:
        host.call("detach.disk", session=SESSION, vm=VM)
    finally:
        stop.set()
        thread.join()
    assert os.stat(target.disk).st_uid == 1234
    assert power(host, target, "on") == "running"


def test_release_gives_disks_back(host, target):
    os.chown(target.disk, 1234, 1234)
    ensure(host)
    host.call("attach.disk", session=SESSION, vm=VM, domain=target.uuid, index=0, mode="ro")
    host.call("session.release", session=SESSION)
    assert os.stat(target.disk).st_uid == 1234
    assert power(host, target, "on") == "running"


def test_recording(host, target):
    host.call("console.ensure", vm=VM, domain=target.uuid)
    ensure(host)
    host.call("attach.console", session=SESSION, vm=VM, name="patient", mode="rw", record=True)
    power(host, target, "on")
    host.read_console(VM, FIRMWARE, 60)

    def recorded():
        part = host.call("recording.read", session=SESSION, name="patient", offset=0, length=200000)
        lines = base64.b64decode(part["data"]).decode().splitlines()
        return FIRMWARE.decode() in "".join(json.loads(line)[2] for line in lines[1:] if line.endswith("]"))

    wait_for(recorded, "the recording")
