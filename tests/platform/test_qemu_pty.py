# SPDX-License-Identifier: Apache-2.0
"""
QEMU's pty chardev looks only once a second whether somebody has opened the pty. `dvm power on` opens it while the guest is
held and lets the guest run at once: that is right only if what the guest writes before that second is over is not lost.
"""

import json
import os
import re
import select
import socket
import subprocess
import time

import pytest

FIRMWARE = b"SeaBIOS"


class Qemu:
    """A held guest: firmware on the serial port, and nothing to boot."""

    def __init__(self, folder, serial):
        self.monitor_path = str(folder / "qmp")
        self.process = subprocess.Popen(
            ["qemu-system-x86_64", "-S", "-M", "pc,graphics=off", "-accel", "tcg", "-m", "64", "-nodefaults", "-display",
             "none", "-serial", serial, "-qmp", f"unix:{self.monitor_path},server=on,wait=off"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        self.pty = None
        if serial == "pty":
            line = self.process.stdout.readline().decode()
            self.pty = re.search(r"/dev/pts/\d+", line).group()
        self.monitor = socket.socket(socket.AF_UNIX)
        for _ in range(200):
            try:
                self.monitor.connect(self.monitor_path)
                break
            except OSError:
                time.sleep(0.02)
        self.stream = self.monitor.makefile("rw")
        self.stream.readline()
        self.say("qmp_capabilities")

    def say(self, command):
        self.stream.write(json.dumps({"execute": command}) + "\n")
        self.stream.flush()
        while "return" not in json.loads(self.stream.readline()):
            pass

    def end(self):
        self.process.kill()
        self.process.wait()


def read_for(fd, seconds, until=None):
    data, end = b"", time.monotonic() + seconds
    while time.monotonic() < end and not (until and until in data):
        if select.select([fd], [], [], 0.1)[0]:
            data += os.read(fd, 65536)
    return data


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What the firmware says, to a file: nothing can be lost there."""
    folder = tmp_path_factory.mktemp("whole")
    qemu = Qemu(folder, f"file:{folder}/serial")
    qemu.say("cont")
    end = time.monotonic() + 20
    while time.monotonic() < end and b"No bootable device" not in (folder / "serial").read_bytes():
        time.sleep(0.1)
    qemu.end()
    text = (folder / "serial").read_bytes()
    assert FIRMWARE in text
    return text[: text.index(b"No bootable device")]


@pytest.mark.parametrize("attempt", range(5))
def test_nothing_is_lost_when_the_pty_was_opened_before(tmp_path, whole, attempt):
    qemu = Qemu(tmp_path, "pty")
    fd = os.open(qemu.pty, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    qemu.say("cont")
    data = read_for(fd, 20, b"No bootable device")
    qemu.end()
    os.close(fd)
    assert data.startswith(whole)


def test_what_is_written_to_a_pty_that_nobody_has_open_is_lost(tmp_path, whole):
    qemu = Qemu(tmp_path, "pty")
    qemu.say("cont")
    time.sleep(4)
    fd = os.open(qemu.pty, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    data = read_for(fd, 3)
    qemu.end()
    os.close(fd)
    assert FIRMWARE not in data


def test_a_pty_ends_with_its_guest(tmp_path):
    qemu = Qemu(tmp_path, "pty")
    fd = os.open(qemu.pty, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    qemu.end()
    with pytest.raises(OSError):
        for _ in range(100):
            select.select([fd], [], [], 1)
            if os.read(fd, 4096) == b"":
                raise OSError
    os.close(fd)
