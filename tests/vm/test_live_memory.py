# SPDX-License-Identifier: Apache-2.0
"""The live memory of a real guest, in the D-VM: what it wrote, its registers, its kernel's notes; and nothing else of its host."""

import contextlib
import json
import re
import subprocess

import dvmtest
import elfcore
import nbd
import pytest
import targets
from dvmtest import wait_for

# More than 4 GiB, so with a hole below it; two nodes; a display's memory in between; room to plug more in.
CPUS = """<maxMemory slots='2' unit='MiB'>8192</maxMemory><memory unit='MiB'>4608</memory><vcpu>2</vcpu>
<cpu mode='custom'><model>Nehalem</model><numa><cell id='0' cpus='0' memory='256' unit='MiB'/>
<cell id='1' cpus='1' memory='4352' unit='MiB'/></numa></cpu>"""
DEVICES = "<video><model type='vga' vram='16384'/></video><graphics type='vnc' listen='127.0.0.1' autoport='yes'/>"
MIB = 1 << 20


@pytest.fixture(scope="module")
def patient(cloud):
    with targets.Tiny(cloud, "memory-1", cpus=CPUS, ports=DEVICES) as vm:
        vm.boot()
        yield vm


@pytest.fixture(scope="module")
def session(cloud, patient):
    made = cloud.json("debug", patient.name, "--attach", "memory")["session"]
    yield made
    cloud.dvm("session", "end", made)
    assert not list((cloud.state / "run/relay").glob("m-*"))
    assert "dvm-memory.so" not in subprocess.run(["ps", "-A", "-o", "args"], capture_output=True, text=True, check=True).stdout


def sh(cloud, session, script, check=True):
    return cloud.dvm("ssh", session, "--", script, check=check)


def in_dvm(cloud, session):
    """Reads as our tools do: whole blocks, past the page cache."""

    def read(offset, length):
        first, last = offset // 4096, (offset + length + 4095) // 4096
        script = f"dd if=/dev/target-memory iflag=direct bs=4096 skip={first} count={last - first} 2>/dev/null"
        argv = [str(dvmtest.DVM), "ssh", session, "--", script]
        data = subprocess.run(argv, env=cloud.env, timeout=60, check=True, stdout=subprocess.PIPE).stdout
        return data[offset - first * 4096 :][:length]

    return read


def on_host(cloud, session):
    return nbd.Client(cloud.state / "run/relay" / f"m{session[1:]}-0" / "nbd.sock")


def remember(patient, n, word):
    said = patient.type(f"remember {n} {word}\r", "\nremembered", "--take")
    pages = [int(address, 16) for address in re.findall(r"page \d+ at ([0-9a-f]+)", said)]
    assert len(pages) == n and all(pages)
    return pages


def hmp(name, command):
    return targets.virsh("qemu-monitor-command", name, "--hmp", command)


def test_it_is_what_the_guest_wrote(cloud, patient, session):
    status = sh(cloud, session, "target memory status; target disk list").stdout
    assert status.startswith("/dev/target-memory.memory-1 ") and "readable" in status and "no disk is here" in status
    read = in_dvm(cloud, session)
    head = read(0, 65536)
    core = elfcore.Core(lambda offset, length: head[offset : offset + length])
    assert len(core.loads) == 4  # below the display's memory, the first node, the second to the hole and above it
    assert core.loads[0].address == 0 and core.loads[3].address == 1 << 32
    assert sum(load.length for load in core.loads) == 4608 * MIB - 0x20000
    pages = remember(patient, 40, "in-the-guest")
    core.read = read
    for i in (0, 17, 39):
        assert core.memory(pages[i], 64).split(b"\0")[0] == f"in-the-guest {i}".encode()
    # through the page cache too, a moment later, though it was there before
    offset = core.loads[0].offset
    load = next(x for x in core.loads if x.address <= pages[5] < x.address + x.length)
    offset = load.offset + pages[5] - load.address
    script = f"dd if=/dev/target-memory.memory-1 bs=4096 skip={offset // 4096} count=1 2>/dev/null | head -c 14"
    assert sh(cloud, session, script).stdout == "in-the-guest 5"
    targets.virsh("qemu-monitor-command", patient.name, "--hmp", "info status")
    assert patient.state() == "running"


def test_debuggers_open_it(cloud, patient, session, tmp_path):
    file = tmp_path / "core"
    with on_host(cloud, session) as c:
        core = elfcore.Core(c.read)
        with file.open("wb") as out:
            out.write(c.read(0, core.loads[0].offset + 16 * MIB))
            out.truncate(c.size)
        release = re.search(r"^OSRELEASE=(.*)$", core.vmcoreinfo(), re.M)[1]
        assert release in patient.type("cat /proc/version\r", "tiny>", "--take")
    notes = dvmtest.run("eu-readelf", "-hln", file).stdout
    assert notes.count("PRSTATUS") == 2 and "QEMU" in notes and "OSRELEASE=" in notes and "CORE (Core file)" in notes
    shown = dvmtest.run("gdb", "-batch", "-nx", "-c", file, "-ex", "info threads", "-ex", "p $rip").stdout
    assert "* 1 " in shown and "LWP 2" in shown
    script = f"import drgn; p = drgn.Program(); p.set_core_dump({str(file)!r}); assert p.flags & drgn.ProgramFlags.IS_LINUX_KERNEL; print(p['UTS_RELEASE'].string_().decode()); p.read(4096, 64, True)"
    assert dvmtest.run("/usr/bin/python3", "-c", script).stdout.strip() == release


def test_target_reads_the_kernel_in_it(cloud, patient, session):
    """Of 4.5 GiB, with no note but the registers' and VMCOREINFO's; what goes on is seen to go on."""
    answer = json.loads(sh(cloud, session, "target ps --json").stdout)
    assert answer["partial"] is None
    tasks = {t["pid"]: t for t in answer["tasks"]}
    assert tasks[1]["name"] == "init" and tasks[1]["waits_in"] == "wait_woken" and tasks[2]["name"] == "kthreadd"
    assert "n_tty_read" in sh(cloud, session, "target bt 1").stdout
    log = json.loads(sh(cloud, session, "target dmesg --json").stdout)
    assert log["partial"] is None and log["records"][0]["text"].startswith("Linux version ")
    kinds = {f["kind"] for f in json.loads(sh(cloud, session, "target doctor --json").stdout)["findings"]}
    assert "prompt" in kinds and not kinds & {"panic", "hard-lockup", "stands", "memory", "deadlock"}
    first, second = (json.loads(sh(cloud, session, "target info --json").stdout)["kernel"]["uptime_seconds"] for _ in range(2))
    assert second > first
    seen = json.loads(sh(cloud, session, "target profile -s 1 --svg /tmp/p.svg --json && grep -q '(idle): ' /tmp/p.svg").stdout)
    assert {f["name"]: f for f in seen["functions"]}["(idle)"]["total"] > 0


def test_registers_are_those_of_the_guest(cloud, patient, session):
    """Compared with what the emulator says of them, while they stand still."""
    cloud.dvm("power", "pause", patient.name)
    try:
        said = hmp(patient.name, "info registers -a").split("CPU#")[1:]
        with on_host(cloud, session) as c:
            core = elfcore.Core(c.read)
            wait_for(lambda: f"RIP={core.cpus()[0]['rip']:016x}" in said[0], "the registers of now")
            assert len(core.cpus()) == len(said) == 2
            for cpu, text in zip(core.cpus(), said):
                for name in elfcore.NAMES[:-1]:
                    assert int(re.search(rf"\b{name.upper()} *=([0-9a-f]+)", text)[1], 16) == cpu[name], name
                for name in ("cs", "ss", "gs", "tr"):
                    selector, base, limit, flags = re.search(rf"\b{name.upper()} *=(\w+) (\w+) (\w+) (\w+)", text).groups()
                    assert tuple(int(x, 16) for x in (selector, limit, flags, base)) == cpu[name]
                base, limit = re.search(r"\bIDT= +(\w+) (\w+)", text).groups()
                assert (int(limit, 16), int(base, 16)) == cpu["idt"][1::2]
                for name in ("cr0", "cr2", "cr3", "cr4"):
                    assert int(re.search(rf"\b{name.upper()}=([0-9a-f]+)", text)[1], 16) == cpu[name]
    finally:
        cloud.dvm("power", "resume", patient.name)


def test_nothing_of_the_host_is_in_it(cloud, patient, session):
    """What the process has besides: its own arguments, the display's memory."""
    with on_host(cloud, session) as c:
        core = elfcore.Core(c.read)
        for address in (0xA0000, 0xB8000, 0xC0000000, 0xFEE00000, 0xFFFC0000, (1 << 32) - 4096, 1 << 40):
            with pytest.raises(ValueError):
                core.memory(address, 16)
        for offset in (c.size, c.size + MIB, 1 << 40, 1 << 62):
            with pytest.raises(nbd.Error):
                c.read(offset, 4096)
    refused = sh(cloud, session, "dd if=/dev/zero of=/dev/target-memory bs=4096 count=1 oflag=direct", check=False)
    assert refused.returncode != 0
    assert sh(cloud, session, "blockdev --getro /dev/target-memory").stdout.strip() == "1"


def test_it_outlives_what_dies(cloud, patient, session):
    pages = remember(patient, 1, "before-the-deaths")
    read = in_dvm(cloud, session)
    head = read(0, 65536)
    core = elfcore.Core(lambda offset, length: head[offset : offset + length])
    core.read = read
    cloud.kill_relay(f"m{session[1:]}-0")

    def there():
        """A request of just then may have failed."""
        with contextlib.suppress(subprocess.CalledProcessError):
            return core.memory(pages[0], 17) == b"before-the-deaths"

    wait_for(there, "another server")
    cloud.kill("dvm-hostd")
    assert core.memory(pages[0], 17) == b"before-the-deaths"
    wait_for(lambda: cloud.pid("dvm-hostd"), "dvm-hostd")
    offset = patient.offset()
    cloud.dvm("power", "reset", patient.name)
    cloud.dvm("console", patient.name, "--read-only", "--from", offset, "--until", "tiny>", "--timeout", 90)
    wait_for(lambda: core.vmcoreinfo(), "the notes of the kernel of now", step=0.5)
    pages = remember(patient, 1, "after-the-reset")
    assert core.memory(pages[0], 15) == b"after-the-reset"
    patient.off()
    wait_for(lambda: "cannot be read" in sh(cloud, session, "target memory status").stdout, "the end of it", step=0.5)
    patient.boot()
    wait_for(lambda: "readable" in sh(cloud, session, "target memory status").stdout, "the memory of the new run", step=0.5)
    pages = remember(patient, 2, "of-the-new-run")
    assert core.memory(pages[1], 16) == b"of-the-new-run 1"


def test_plugged_in_memory_is_there_after_attaching_anew(cloud, patient, session):
    dimm = patient.dir / "dimm.xml"
    dimm.write_text("<memory model='dimm'><target><size unit='MiB'>128</size><node>1</node></target></memory>")
    targets.virsh("attach-device", patient.name, dimm, "--live")
    with on_host(cloud, session) as c:
        assert len(elfcore.Core(c.read).loads) == 4
    sh(cloud, session, "target memory detach")
    assert sh(cloud, session, "ls -d /dev/target-memory*", check=False).stdout == ""
    assert "is not here" in sh(cloud, session, "target memory status").stdout
    assert cloud.json("memory", "attach", session)["devices"] == ["t0-memory"]
    with on_host(cloud, session) as c:
        core = elfcore.Core(c.read)
        assert core.loads[-1].length == 128 * MIB and sum(x.length for x in core.loads) == 4736 * MIB - 0x20000
        assert len(core.memory(core.loads[-1].address, 4096)) == 4096
    actions = [a["action"] for a in cloud.json("audit") if a.get("detail") == "memory"]
    assert "session.attach" in actions and "session.detach" in actions


def test_a_panic_is_seen_and_its_memory_is_there(cloud, patient, session):
    assert "terminate-all-tasks" in cloud.dvm("sysrq", patient.name, "h").stdout
    assert cloud.dvm("sysrq", patient.name, "help", check=False).returncode != 0
    offset = patient.offset()
    cloud.dvm("nmi", patient.name)
    cloud.dvm("console", patient.name, "--read-only", "--from", offset, "--until", "NMI received", "--timeout", 60)
    cloud.dvm("sysrq", patient.name, "c")

    def panicked():
        return [e["data"] for e in cloud.json("session", "timeline", session) if e["type"] == "vm.panicked"]

    events = wait_for(panicked, "the panic")
    assert events == [{"text": "Kernel panic - not syncing: sysrq triggered crash", "by": "console"}]
    assert "panicked: Kernel panic - not syncing: sysrq triggered crash" in cloud.dvm("session", "timeline", session).stdout
    with on_host(cloud, session) as c:
        assert elfcore.Core(c.read).vmcoreinfo()
