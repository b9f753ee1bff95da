# SPDX-License-Identifier: Apache-2.0
"""A target's serial and parallel ports as devices of a real D-VM: ttys that any program works on, and what a printer would get."""

import random
import subprocess
import zlib

import dvmtest
import pytest
import targets
from dvmtest import wait_for
from watcher import Watcher

PORTS = "<serial type='pty'/><parallel type='unix'><source mode='bind' path='{dir}/lp.sock'/></parallel>"
# The D-VM has these in any image: says $1 on fd 3, waits for the line $1 there.
TALK = r"""
say() { printf '%s\r' "$1" >&3; }
hear() { local line; while IFS= read -r -t 60 line <&3; do [ "${line%$'\r'}" != "$1" ] || return 0; done; return 1; }
set -e
"""


@pytest.fixture(scope="module")
def patient(cloud):
    with targets.Tiny(cloud, "ports-1", ports=PORTS) as vm:
        vm.boot()
        yield vm


@pytest.fixture(scope="module")
def session(cloud, patient):
    """The console is attached with it, the other ports while it runs."""
    made = cloud.json("debug", patient.name, "--attach", "serial0")["session"]
    for port, device in (("serial1", "ttyS1"), ("parallel0", "lp0")):
        assert cloud.json("port", "attach", made, port)["devices"] == [device]
    yield made
    cloud.dvm("session", "end", made)
    assert not list((cloud.state / "run/relay").glob("*.*"))
    assert not list((cloud.state / "state").glob("**/v-*.*"))


def sh(cloud, session, script, check=True):
    return cloud.dvm("ssh", session, "--", TALK + script, check=check).stdout


def test_they_are_where_they_should_be(cloud, patient, session):
    listed = sh(cloud, session, "target port list").split()
    assert listed[::2] == [f"/dev/target/{patient.name}/{device}" for device in ("lp0", "ttyS0", "ttyS1")]
    for link, device in zip(("/dev/target-lp0", "/dev/target-ttyS0", "/dev/target-ttyS1", "/dev/ttyS1"), listed[1::2] + listed[3:4]):
        assert sh(cloud, session, f"readlink -f {link}").strip() == device
    assert sh(cloud, session, "target disk list").startswith(f"{patient.name}: no disk")
    kinds = [(a["kind"], a["mode"]) for a in cloud.json("port", "list", session)]
    assert sorted(kinds) == [("parallel0", "ro"), ("serial0", "rw"), ("serial1", "rw")]


def test_every_byte_passes_the_console_both_ways(cloud, patient, session):
    data = random.Random(1).randbytes(8192) + bytes(range(256))
    crc = f"{zlib.crc32(data):08x}"
    script = f"""cat >/tmp/data
    exec 3<>/dev/target-ttyS0
    say 'sum {len(data)}'; hear 'sum: go'
    cat /tmp/data >&3; hear 'sum: {len(data)} {crc}'
    say 'lines 3000'; hear 'line 1'; for i in $(seq 2 3000); do IFS= read -r -t 60 line <&3; [ "${{line%$'\r'}}" = "line $i" ]; done"""
    argv = [str(dvmtest.DVM), "ssh", session, "--", TALK + script]
    subprocess.run(argv, input=data, env=cloud.env, timeout=180, check=True)
    # whoever else is there types again when he wants to
    assert patient.answers("beside-the-tty", "--take")


TOOLS = {
    "picocom": ("picocom -b 115200 /dev/target-ttyS0", ["\x01\x18"]),
    "minicom": ("minicom -b 115200 -D /dev/target-ttyS0", ["\x01q", "\r"]),
    "screen": ("screen /dev/target-ttyS0 115200", ["\x01k", "y"]),
    "kermit": ("kermit -l /dev/target-ttyS0 -b 115200 -C 'set carrier-watch off, connect, exit'", ["\x1cc"]),
}


@pytest.mark.parametrize("tool", TOOLS)
def test_the_tools_work_on_it(cloud, session, tool):
    command, leave = TOOLS[tool]
    with Watcher(cloud, "ssh", "-o", "RequestTTY=force", session, "--", f"TERM=vt100 {command}", stdin=subprocess.PIPE) as watcher:
        def answered():
            """What is typed before the program has the terminal is for nobody; the echo of it is not the answer."""
            watcher.type(f"echo through-{tool}\r")
            return f"\nthrough-{tool}" in watcher.out

        wait_for(answered, f"the target's answer to {tool}", step=0.5)
        for keys in leave:
            watcher.type(keys)
        assert watcher.end() == 0


def test_the_second_serial_port(cloud, patient, session):
    patient.type("answer /dev/ttyS1\r", "answering", "--take")
    sh(cloud, session, "exec 3<>/dev/target/ports-1/ttyS1; printf 'one\\nbye\\n' >&3; hear 'heard one'; hear 'heard bye'")
    assert patient.answers("back-at-the-prompt", "--take")


def test_the_parallel_port(cloud, patient, session):
    patient.type("print 3\r", "printed", "--take")
    assert sh(cloud, session, "head -n 3 /dev/target-lp0").split("\n") == ["page 1", "page 2", "page 3", ""]
    # nobody reads: the target does not hang on it, and the newest is kept
    patient.type("print 9000\r", "printed", "--take")
    pages = sh(cloud, session, "grep -Exm 10 'page (899[1-9]|9000)' /dev/target-lp0")
    assert pages == "".join(f"page {i}\n" for i in range(8991, 9001))
    dropped = [e for e in cloud.json("session", "timeline", session) if e["type"] == "port.dropped"]
    assert dropped[-1]["data"]["port"] == "t0-parallel0" and dropped[-1]["data"]["bytes"] > 0


def test_they_go_on_when_the_target_is_started_anew_and_when_ours_die(cloud, patient, session):
    patient.off()
    with Watcher(cloud, "ssh", session, "--", "cat /dev/target-ttyS0") as watcher:
        patient.boot()
        watcher.wait("tiny: start")
    cloud.kill_relay(session)
    cloud.kill("dvm-hostd")
    patient.type("print 1\r", "printed", "--take")
    script = """exec 3<>/dev/target-ttyS0; cat <&3 >/tmp/said & trap "kill $!" EXIT
        for i in $(seq 120); do say 'echo of-a-new-relay'; sleep 0.5; ! grep -q ^of-a-new-relay /tmp/said || exit 0; done; exit 1"""
    sh(cloud, session, script)


def devices(session):
    """What the hypervisor has of ports in the D-VM, and the sockets of them."""
    xml = targets.virsh("dumpxml", f"dvm-{session}")
    return xml.count("pci-serial"), xml.count("org.dvm.port.")


def test_they_come_and_go_in_a_running_session(cloud, patient, session):
    assert devices(session) == (4, 1)  # two names for each UART
    with Watcher(cloud, "ssh", session, "--", "cat /dev/target-ttyS0") as watcher:
        sh(cloud, session, "target port detach serial0")
        watcher.end()  # whoever had it open
    for port in ("serial1", "parallel0"):
        cloud.dvm("port", "detach", session, port)
    assert devices(session) == (0, 0)
    assert cloud.dvm("port", "detach", session, "serial1", check=False).returncode != 0
    assert sh(cloud, session, "! ls -d /dev/target* 2>/dev/null; target port list") == f"{patient.name}: no port is here; `target port attach` plugs them in\n"
    assert "16550A" not in sh(cloud, session, "grep -v ^0: /proc/tty/driver/serial")
    assert not list((cloud.state / "run/relay").glob("*.*"))
    assert patient.answers("not-disturbed")
    assert sh(cloud, session, "target port attach serial0").split()[0] == f"/dev/target/{patient.name}/ttyS0"
    sh(cloud, session, "exec 3<>/dev/ttyS1; say 'echo and-again'; hear and-again")
    refused = cloud.dvm("port", "attach", session, "serial2", check=False)
    assert refused.returncode != 0 and "serial2" in refused.stderr
    assert devices(session) == (2, 0)
