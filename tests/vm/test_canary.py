# SPDX-License-Identifier: Apache-2.0
"""No host in sight: nothing a user can read shows the host's names, addresses, paths or versions."""

import os
import pathlib
import re
import socket
import uuid

import dvmtest
import pytest
from openapi_check import DvmClient


def canaries(cloud):
    values = {
        "host name": socket.gethostname(),
        "address": "127.66.6.6",
        "state path": str(cloud.state),
        "build path": str(dvmtest.ROOT),
        "libvirt path": "/var/lib/libvirt",
        "kernel of the host": os.uname().release,
        "machine id": pathlib.Path("/etc/machine-id").read_text().strip() if pathlib.Path("/etc/machine-id").exists() else "",
        "hypervisor version": re.search(r"version (\S+)", dvmtest.run("qemu-system-x86_64", "--version").stdout).group(1),
        "hypervisor version, as machine type": "pc-i440fx",
        "hypervisor version, in the CPU's name": "version 2.5+",
        "libvirt version": re.search(r"\d+\.\d+\.\d+", dvmtest.run("libvirtd", "--version").stdout).group(0),
    }
    return {what: value for what, value in values.items() if value}


def find(text, cloud):
    if isinstance(text, bytes):
        text = text.decode(errors="replace")
    return [f"{what}: {value}" for what, value in canaries(cloud).items() if value in text]


@pytest.fixture(scope="module")
def session(cloud, tiny):
    tiny.on()
    made = cloud.json("debug", tiny.name)
    yield made["session"]
    cloud.dvm("session", "end", made["session"])


def test_every_endpoint_and_every_error(cloud, tiny, session):
    client = DvmClient(cloud.env["DVM_URL"], token=cloud.env["DVM_TOKEN"], pin=cloud.env["DVM_PIN"])
    seen = client.walk(session=session, vm=tiny.name)
    assert len(seen) > 30
    leaks = [(method, path, find(head + body, cloud)) for method, path, head, body in seen]
    assert not [leak for leak in leaks if leak[2]]


def test_the_d_vm_as_root(cloud, session, tmp_path):
    """Every readable file of /proc, /sys, logs and the root itself, searched inside the D-VM."""
    patterns = "\n".join(canaries(cloud).values()) + "\n"
    cloud.dvm("ssh", session, "--", "cat >/tmp/patterns", input=patterns)
    script = r"""
        cd /
        control=canary; control=$control-control  # not as it stands in this shell's own command line
        echo $control >>/tmp/patterns; echo $control >/run/$control
        modprobe qemu_fw_cfg 2>/dev/null; dd if=/dev/mem of=/run/low-memory bs=64k count=16 2>/dev/null
        find /proc/[0-9]*/environ /proc/[0-9]*/cmdline /proc/[0-9]*/mountinfo 2>/dev/null >/tmp/files
        find /proc -maxdepth 2 -type f -not -path '/proc/[0-9]*' -not -name kcore -not -name kmsg -not -name kpage* \
            -not -name sysrq-trigger -not -name pagemap 2>/dev/null >>/tmp/files
        find /sys -type f -perm -400 -not -path '*/tracing/*' -not -path '/sys/kernel/debug/*' 2>/dev/null >>/tmp/files
        find /var/log /run /etc /root /usr/lib/dvm /dev/disk /lib/modules -type f -size -4M 2>/dev/null >>/tmp/files
        grep -v -e self -e /tmp/ /tmp/files | xargs -d '\n' -n 200 timeout 60 grep -l -a -s -F -f /tmp/patterns >/tmp/found
        dmesg >/tmp/dmesg; grep -a -F -f /tmp/patterns /tmp/dmesg >>/tmp/found
        grep -c -e /sys/firmware/acpi/tables/DSDT -e /sys/firmware/dmi/tables/DMI -e /run/low-memory /tmp/files
        wc -l </tmp/files; cat /tmp/found
    """
    tables, count, *found = cloud.dvm("ssh", session, "--", script, timeout=600).stdout.splitlines()
    assert (int(tables), int(count) > 1000) == (3, True)
    # The one that the search must find, and nothing else.
    assert found == ["/run/canary-control"]


def test_the_firmware_is_the_images(cloud, session):
    """What stands in memory where a PC's firmware is: the image's own, with no version of the host's packages."""
    read = "dd if=/dev/mem bs=64k skip=12 count=4 2>/dev/null | tr -c '[:print:]' '\\n' | grep -E '.{4}'"
    text = cloud.dvm("ssh", session, "--", read).stdout
    assert "_SB_" in text  # its copy of the ACPI tables: the search reads what is there
    assert not re.search(r"seabios|rel-\d|debian|qemu[ -]?v?\d+\.|\d\.\d+\.\d+|20[12]\d-", text, re.IGNORECASE)


def test_streams_and_recordings(cloud, tiny, session):
    text = tiny.type("echo canary\r", "canary")
    assert not find(text, cloud)
    for name in [r["name"] for r in cloud.json("record", "list", session)]:
        assert not find(cloud.dvm("record", "get", session, name).stdout, cloud)


def test_what_the_command_line_says_when_things_fail(cloud, tiny, session):
    commands = [
        ("vm", "show", "none"),
        ("vm", "adopt", str(uuid.uuid4())),
        ("debug", tiny.name),
        ("debug", "none"),
        ("session", "show", "s-none"),
        ("power", "on", tiny.name),
        ("disk", "attach", session, tiny.name),
        ("image", "show", "none"),
        ("record", "get", session, "../../store.sqlite"),
    ]
    for argv in commands:
        result = cloud.dvm(*argv, check=False)
        assert not find(result.stdout + result.stderr, cloud), argv
