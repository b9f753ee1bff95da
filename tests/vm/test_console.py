# SPDX-License-Identifier: Apache-2.0
"""The console of a real target: every backend, many readers, one writer, and a stream that resets and starts do not end."""

import contextlib
import fcntl
import json
import os
import pty
import random
import re
import signal
import struct
import subprocess
import termios
import zlib

import pytest
import targets
from dvmtest import wait_for
from watcher import Watcher

TCP_PORT = 47114
PROMPT = "tiny> "


def offset(cloud, vm):
    return int(cloud.dvm("console", vm.name, "--offset").stdout)


def boots(text):
    return text.count("tiny: start")


def at_prompt(cloud, vm):
    """It may have booted before anybody could read: so ask for the prompt."""
    return cloud.dvm("console", vm.name, "--live", "--until", PROMPT, "--timeout", 5, input="\r", check=False).returncode == 0


def changed(cloud, vm, to, by):
    """Waits until the feed of events has such a change of the VM's state."""
    vm_id = cloud.json("vm", "show", vm.name)["id"]
    with Watcher(cloud, "events", "--after", 0, "--json") as events:

        def there():
            lines = [json.loads(line) for line in events.out.splitlines(keepends=True) if line.endswith("\n")]
            return [e for e in lines if e["type"] == "vm.changed" and e["vm"] == vm_id and e["data"]["to"] == to and e["data"]["by"] == by]

        wait_for(there, f"{vm.name} to be recorded as {to} by {by}")


@pytest.mark.parametrize("serial", list(targets.SERIAL))
def test_backend(cloud, serial):
    """A VM that ran before dvm knew it; then it is reset, and stopped and started behind our back."""
    name = "console-" + serial.replace("+", "-")
    with targets.Tiny(cloud, name, serial=serial, disk=False, adopt=False, port=TCP_PORT) as vm:
        targets.virsh("start", name)
        cloud.dvm("vm", "adopt", name)
        with Watcher(cloud, "console", name, "--read-only") as reader:
            if serial == "file":
                reader.wait(PROMPT)
                for take, code in ((), "writer-taken"), (("--take",), "console-read-only"):
                    refused = cloud.dvm("console", name, "--live", *take, "--until", "x", input="echo x\r", check=False)
                    assert refused.returncode == 5 and "watched" in refused.stderr, (code, refused)
            else:
                wait_for(lambda: at_prompt(cloud, vm), "the prompt")
                vm.type("echo typed-1\r", "\ntyped-1")
                reader.wait("\ntyped-1")
                # A break reaches the guest's UART whatever is behind it: its kernel takes the next key for SysRq.
                cloud.dvm("console", name, "--sysrq", "h", "--until", "sysrq: HELP", "--timeout", 60)
                wait_for(lambda: at_prompt(cloud, vm), "the prompt after the kernel's words")
                vm.type("echo typed-1a\r", "\ntyped-1a")
            seen = boots(reader.out)

            cloud.dvm("power", "reset", name)
            wait_for(lambda: boots(reader.out) == seen + 1, f"the boot after the reset: {reader.out[-300:]!r}")
            wait_for(lambda: reader.out.endswith(PROMPT), "its prompt")

            if serial == "pty+log":
                targets.virsh(f"destroy {name}; start {name}")
            else:
                targets.virsh("destroy", name)
                reader.wait_words("the VM is off")
                changed(cloud, vm, "off", "outside")
                targets.virsh("start", name)
            reader.wait_words("the VM is back")
            changed(cloud, vm, "running", "outside")
            if serial == "file":
                wait_for(lambda: boots(reader.out) == seen + 2, f"the next boot: {reader.out[-300:]!r}")
            else:
                wait_for(lambda: at_prompt(cloud, vm), "the prompt after the start")
                vm.type("echo typed-2\r", "\ntyped-2")
                reader.wait("\ntyped-2")
            assert "bytes lost" not in reader.err


@pytest.fixture(scope="module")
def guest(cloud):
    """A VM at its prompt, whose every byte dvm has seen."""
    with targets.Tiny(cloud, "console-many", disk=False) as vm:
        vm.on()
        cloud.dvm("console", vm.name, "--read-only", "--until", PROMPT, "--timeout", 90)
        yield vm


def test_several_readers_see_the_same_bytes(cloud, guest):
    start = offset(cloud, guest)
    watch = ("console", guest.name, "--read-only", "--from", start, "--until", "\nline 500", "--timeout", 120)
    with contextlib.ExitStack() as stack:
        readers = [stack.enter_context(Watcher(cloud, *watch)) for _ in range(4)]
        guest.type("lines 500\r", "\nline 500")
        assert [reader.end() for reader in readers] == [0] * 4
        late = cloud.dvm(*watch).stdout.encode()
        assert {reader.said for reader in readers} == {readers[0].said}
        assert late == readers[0].said.replace(b"\r\n", b"\n") or late == readers[0].said
    assert [f"line {n}" for n in range(1, 501)] == re.findall(r"line \d+", late.decode())


def test_one_writer_and_take(cloud, guest):
    with Watcher(cloud, "console", guest.name, "--live", stdin=subprocess.PIPE) as first:
        first.type("echo first-1\r")
        first.wait("\nfirst-1")
        refused = cloud.dvm("console", guest.name, "--live", "--until", "x", input="echo x\r", check=False)
        assert refused.returncode == 5 and "--take" in refused.stderr, refused
        took = cloud.dvm("console", guest.name, "--live", "--take", "--until", "\nsecond", "--timeout", 60, input="echo second\r")
        assert "second" in took.stdout
        first.wait("\nsecond")
        first.wait_words("no longer type")
        first.type("echo first-2\r")
        assert first.end() == 5
        assert "first-2" not in first.out
    guest.type("echo third\r", "\nthird")


def test_reader_that_never_reads_does_not_stall_the_guest(cloud, guest):
    """The guest says more than the ring and all buffers on the way to that reader hold together."""
    count = 200000
    start = offset(cloud, guest)
    with Watcher(cloud, "console", guest.name, "--read-only", "--from", start, "--until", "the-end", reads=False) as asleep:
        guest.type(f"lines {count}\r", f"\nline {count}", timeout=300)
        guest.type("echo the-\x7f-end\r", "-end")
        cloud.dvm("console", guest.name, "--live", "--until", "\nthe-end", "--timeout", 60, input="echo the-end\r")
        asleep.thread.start()
        assert asleep.end() == 0
        lost = sum(int(n) for n in re.findall(r"(\d+) bytes lost here", asleep.err))
        assert lost > 0, "it was not too much for the buffers: the test proves nothing"
        # Not a byte is missing without being said.
        end = offset(cloud, guest)
        rest = cloud.dvm("console", guest.name, "--read-only", "--from", start + lost + len(asleep.said), "--timeout", 2).stdout
        assert start + lost + len(asleep.said) <= end
        assert "line" not in rest


def test_break_stands_in_its_place(cloud, guest):
    """What is typed just before a break is a command, not a SysRq key; what comes after it is one."""
    said = cloud.dvm(
        "console", guest.name, "--send", "echo be\x68ind\r", "--expect", "^behind", "--timeout", 60,
    ).stdout
    assert "HELP" not in said
    for _ in range(5):
        said = cloud.dvm("console", guest.name, "--sysrq", "h", "--until", "HELP", "--timeout", 60).stdout
        assert "no such command" not in said
    guest.type("\recho after\r", "\nafter")


def test_paste_loses_nothing(cloud, guest, tmp_path):
    """64 KiB of every value of a byte into a guest that adds them up, at the pace of its UART."""
    data = random.Random(1).randbytes(65536)
    (tmp_path / "file").write_bytes(data)
    guest.type(f"sum {len(data)}\r", "sum: go")
    cloud.dvm(
        "console", guest.name, "--paste", tmp_path / "file", "--until", f"sum: {len(data)} {zlib.crc32(data):08x}", "--timeout", 150,
    )


def test_paste_with_echo(cloud, guest, tmp_path):
    """Never far ahead of what the guest has echoed, through its line discipline."""
    lines = [f"echo pasted line {n}" for n in range(20)]
    (tmp_path / "file").write_text("".join(line + "\n" for line in [*lines, "lines 3"]))
    said = cloud.dvm(
        "console", guest.name, "--paste", tmp_path / "file", "--echo", "--until", "\nline 3", "--timeout", 90,
    ).stdout
    assert "no such command" not in said
    # What the guest echoes and what it answers run into one another: letters that come from nowhere else, twice each line.
    assert [said.count(letter) for letter in "pad"] == [40] * 3


def test_size_is_told(cloud, guest):
    """On a terminal of 33 rows and 101 columns."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 101, 0, 0))
    with cloud.popen("console", guest.name, "--live", "--resize", stdin=slave, stdout=slave, stderr=slave) as process:
        os.close(slave)
        said = b""
        while b"cols 101" not in said:
            said += os.read(master, 65536)
        os.write(master, b"\r~.")
        with contextlib.suppress(OSError):
            while os.read(master, 65536):
                pass
        assert process.wait(timeout=60) == 0
    os.close(master)
    guest.type("stty size\r", "\n33 101")


def test_off_and_on_keep_every_byte(cloud, guest):
    start = offset(cloud, guest)
    with Watcher(cloud, "console", guest.name, "--read-only", "--from", start) as reader:
        for _ in range(2):
            guest.off()
            changed(cloud, guest, "off", "dvm")
            seen = boots(reader.out)
            guest.on()
            wait_for(lambda: boots(reader.out) == seen + 1 and reader.out.endswith(PROMPT), f"the boot: {reader.out[-300:]!r}")
        assert boots(reader.out) == 2
        assert "lost" not in reader.err and "missing" not in reader.err


def history(cloud, vm):
    return cloud.dvm("console", vm.name, "--read-only", "--history", "--timeout", 2).stdout


def recorded(cloud, vm):
    """What the VM's own recordings have, oldest first."""
    text = ""
    for item in cloud.json("record", "list", vm.name):
        text += cloud.dvm("record", "play", vm.name, item["name"], "--speed", "0").stdout
    return text


def test_history_outlives_the_emulator(cloud, guest):
    """The target's QEMU is killed, and started again: the text before is there, with every byte of the next boot behind it."""
    guest.type("echo before-the-kill\r", "\nbefore-the-kill")
    start = offset(cloud, guest)
    with Watcher(cloud, "console", guest.name, "--read-only", "--from", start) as reader:
        os.kill(targets.qemu_pid(guest.name), signal.SIGKILL)
        reader.wait_words("the VM is off")
        wait_for(lambda: guest.state() == "shut off", "libvirt to notice")
        guest.on()
        reader.wait_words("the VM is back")
        wait_for(lambda: boots(reader.out) == 1 and reader.out.endswith(PROMPT), f"the boot: {reader.out[-300:]!r}")
        assert "missing" not in reader.err
    for kept in (history(cloud, guest), recorded(cloud, guest)):
        assert "\nbefore-the-kill" in kept
        assert boots(kept[kept.rindex("\nbefore-the-kill"):]) == 1
    since = cloud.dvm("console", guest.name, "--read-only", "--since", "1h", "--timestamps", "--timeout", 2).stdout
    times = re.findall(r"(?m)^(20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) ", since)
    assert re.search(r"(?m)^\S+Z before-the-kill", since) and boots(since) >= 2
    assert len(times) == len(since.splitlines()) and times == sorted(times)


def test_history_outlives_another_backend(cloud, guest):
    """The target is defined anew with another console: what the former one said stays, and the new one goes on behind it."""
    guest.type("echo on-the-pty\r", "\non-the-pty")
    guest.off()
    before = offset(cloud, guest)
    uuid = targets.virsh("domuuid", guest.name).strip()
    xml = guest.xml.replace("</name>", f"</name><uuid>{uuid}</uuid>")
    other = targets.SERIAL["unix"].format(dir=guest.dir)
    assert targets.SERIAL["pty"] in xml
    (guest.dir / "domain.xml").write_text(xml.replace(targets.SERIAL["pty"], other))
    targets.virsh("define", guest.dir / "domain.xml")
    with Watcher(cloud, "console", guest.name, "--read-only", "--from", before) as reader:
        guest.on()
        wait_for(lambda: boots(reader.out) == 1 and reader.out.endswith(PROMPT), f"the boot: {reader.out[-300:]!r}")
    guest.type("echo on-the-socket\r", "\non-the-socket")
    for kept in (history(cloud, guest), recorded(cloud, guest)):
        assert kept.rindex("\non-the-pty") < kept.rindex("\non-the-socket")
    assert offset(cloud, guest) > before
