# SPDX-License-Identifier: Apache-2.0
"""A kernel read out of a guest's memory, compared with what the same guest says of itself; and guests that fail."""

import json
import re

import dvmtest
import guinea
import pytest

TARGET = dvmtest.LIBEXEC / "image/target"
# Tasks that come, go and move on between the guest's words and the dump.
RESTLESS = re.compile(r"kworker/|ksoftirqd/|rcu_|migration/|kcompactd|khungtaskd|init$")


def target(core, *words, check=True):
    return dvmtest.run(TARGET, *words, "--core", core, check=check, timeout=60)


def look(core, *words):
    answer = json.loads(target(core, *words, "--json").stdout)
    assert answer["partial"] is None, f"{words}: {answer['partial']}"
    return answer


@pytest.fixture(scope="module")
def guest():
    with guinea.Guinea() as g:
        g.said = guinea.told(g.until("=== END\n"))
        g.healthy = g.dump("healthy")
        # it fails while the healthy image is looked at
        g.do("fill")
        g.do("trouble deadlock,rwsem,loop")
        yield g


@pytest.fixture(scope="module")
def core(guest):
    return guest.healthy


def pids(said):
    return [int(m[1]) for path in said if (m := re.fullmatch(r"/proc/(\d+)/stat", path))]


def stat(said, pid):
    """(name, state, parent)"""
    line = said[f"/proc/{pid}/stat"][0]
    name, rest = re.fullmatch(r"\d+ \((.*)\) (.*)", line).groups()
    return name, rest.split()[0], int(rest.split()[1])


def test_tasks(guest, core):
    tasks = {t["pid"]: t for t in look(core, "ps")["tasks"]}
    compared = 0
    for pid in pids(guest.said):
        name, state, parent = stat(guest.said, pid)
        if RESTLESS.match(name):
            continue
        task = tasks[pid]
        assert (task["name"], task["state"], task["ppid"]) == (name[:15], state, parent)
        wchan = (guest.said[f"/proc/{pid}/wchan"] or ["0"])[0]
        if wchan != "0" and state != "Z":
            assert task["waits_in"] == wchan, name
            compared += 1
    assert compared > 20
    assert tasks[1]["command"].startswith("/init")
    threads = [t for t in look(core, "ps", "-T")["tasks"] if t["name"] == "threads"]
    assert len(threads) == 3 and len({t["pid"] for t in threads}) == 1


def test_stacks(guest, core):
    stacks = {s["tid"]: s for s in look(core, "bt", "--all")["stacks"]}
    compared = 0
    for pid in pids(guest.said):
        name, state, _ = stat(guest.said, pid)
        if RESTLESS.match(name) or state == "Z":
            continue
        theirs = [line.split(" ", 1)[1] for line in guest.said[f"/proc/{pid}/stack"]]
        ours = [f["symbol"] for f in stacks[pid]["frames"]]
        assert ours[-len(theirs) :] == theirs, name
        assert stacks[pid]["end"] in ("end", "user")
        compared += 1
    assert compared > 20
    blocked = target(core, "bt", "--blocked").stdout
    assert "blocked, blocked" in blocked
    assert look(core, "bt", "--cpu", 1)["stacks"][0]["cpu"] == 1


def test_symbols(guest, core):
    compared = 0
    for line in guest.said["/proc/kallsyms"]:
        address, kind, name = line.split("\t")[0].split(" ")[:3]
        if kind in "tT" and "[" not in line and not re.search(r"[.]|__pfx", name):
            text = target(core, "read", f"0x{address}", "16").stdout.splitlines()[0]
            assert re.match(r"[\w.]+\+0x0/", text), line
            compared += 1
            if compared == 3:
                break
    assert compared == 3
    banner = json.loads(target(core, "read", "linux_banner", "64", "--json").stdout)
    assert bytes.fromhex(banner["hex"]).decode() == guest.said["/proc/version"][0][:64]
    value = look(core, "print", "(struct task_struct)init_task.comm")["value"]
    assert value == "swapper/0"


def test_modules(guest, core):
    modules = {m["name"]: m for m in look(core, "lsmod")["modules"]}
    for line in guest.said["/proc/modules"]:
        name, size, users, by, state, address = line.split(" ")[:6]
        module = modules.pop(name)
        assert (module["size_bytes"], module["users"]) == (int(size), int(users))
        assert module["used_by"] == (None if by == "-" else by.rstrip(","))
        assert module["address"] == address
    assert not modules


def test_mounts(guest, core):
    ours = [(m["source"], m["path"], m["type"], m["options"]) for m in look(core, "mounts")["mounts"]]
    theirs = []
    for line in guest.said["/proc/mounts"]:
        source, path, kind, options = line.split(" ")[:4]
        known = [o for o in options.split(",") if o in ("ro", "rw", "nosuid", "nodev", "noexec", "relatime")]
        theirs.append((source, path.replace("\\040", " "), kind, ",".join(known)))
    assert ours == theirs
    disk = next(m for m in look(core, "mounts")["mounts"] if m["path"] == "/disk")
    assert disk["size_bytes"] == 64 << 20 and 0 < disk["free_bytes"] < 64 << 20


def test_files_and_maps(guest, core):
    for pid in pids(guest.said):
        if f"/proc/{pid}/maps" not in guest.said or stat(guest.said, pid)[0] not in ("init", "network", "threads"):
            continue
        areas = look(core, "maps", pid)["areas"]
        ours = [f"{a['start'].lstrip('0')}-{a['end'].lstrip('0')} {a['rights']} {a['name']}".rstrip() for a in areas]
        theirs = []
        for line in guest.said[f"/proc/{pid}/maps"]:
            span, rights, _, _, _, *name = line.split(None, 5)
            theirs.append(f"{'-'.join(x.lstrip('0') for x in span.split('-'))} {rights} {''.join(name)}".rstrip())
        assert ours == [t for t in theirs if "[vsyscall]" not in t]
        files = {f["fd"]: f["path"] for f in look(core, "files", pid)["files"]}
        theirs = dict(line.split(" ", 1) for line in guest.said[f"/proc/{pid}/fd"])
        if pid == 1:  # it reads the folder with a descriptor of its own while it tells
            theirs = {fd: path for fd, path in theirs.items() if not path.startswith("/proc")}
        for fd, path in theirs.items():
            assert files[fd].startswith(path), (pid, fd)


def test_network(guest, core):
    sockets = look(core, "net")["sockets"]
    ours = {(s["protocol"], s["local"]) for s in sockets}

    def address(text):
        host, port = text.split(":")
        return ".".join(str(b) for b in bytes.fromhex(host)[::-1]) + f":{int(port, 16)}"

    for name in ("tcp", "udp"):
        for line in guest.said[f"/proc/net/{name}"][1:]:
            assert (name, address(line.split()[1])) in ours
    assert ("unix", "/tmp/socket") in ours and ("tcp6", "[::]:9090") in ours
    assert {s["process"] for s in sockets} == {"network"}
    lo, eth = look(core, "net", "interfaces")["interfaces"]
    assert lo["name"] == "lo" and lo["state"] == "up" and "127.0.0.1/8" in lo["addresses"]
    assert eth["hardware"] == "52:54:00:12:34:56" and eth["state"] == "down"


def test_memory(guest, core):
    info = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in guest.said["/proc/meminfo"]}
    ours = {m["what"]: m["bytes"] for m in look(core, "mem")["memory"]}
    assert ours["total"] == info["MemTotal"]
    for what, name in (("free", "MemFree"), ("processes' own", "AnonPages"), ("slab, fixed", "SUnreclaim")):
        assert abs(ours[what] - info[name]) < 4 << 20, what
    top = look(core, "mem", "processes")["processes"][0]
    assert top["name"] == "memory" and 20 << 20 <= top["resident_bytes"] < 22 << 20
    slabs = {s["name"]: s for s in look(core, "mem", "slabs")["slabs"]}
    for line in guest.said["/proc/slabinfo"][2:]:
        name, _, objects, size = line.split()[:4]
        if name in ("task_struct", "mm_struct", "sighand_cache"):
            assert slabs[name]["objects"] >= int(objects) * 0.9


def test_interrupts_and_timers(guest, core):
    ours = {i["irq"]: i for i in look(core, "irq")["interrupts"]}
    for line in guest.said["/proc/interrupts"][1:]:
        name, counts = line.strip().split(":")
        if name.isdigit():
            assert ours[name]["count"] >= sum(int(n) for n in counts.split()[:2]), name
            assert counts.split()[-1] in ours[name]["handlers"]
    timers = look(core, "timers")["timers"]
    assert {t["cpu"] for t in timers} == {0, 1}
    assert any(t["function"].startswith("delayed_work_timer_fn") for t in timers)


def test_log_and_info(guest, core):
    records = look(core, "dmesg")["records"]
    assert records[0]["text"].startswith("Linux version ")
    assert [r["sequence"] for r in records] == list(range(len(records)))
    info = json.loads(target(core, "info", "--json").stdout)["kernel"]
    assert info["host_name"] == "guinea" and info["cpus_online"] == 2 and not info["panicked"]
    assert abs(info["uptime_seconds"] - float(guest.said["/proc/uptime"][0].split()[0])) < 5
    assert info["release"] in guest.said["/proc/version"][0]


def test_errors(core, tmp_path):
    result = target(core, "files", "99999", check=False)
    assert result.returncode == 4 and "no task 99999" in result.stderr
    result = target(core, "print", "(struct nothing)init_task", check=False)
    assert result.returncode == 4 and "no type struct nothing" in result.stderr
    empty = tmp_path / "empty"
    empty.write_bytes(bytes(100000))
    result = target(empty, "dmesg", check=False)
    assert result.returncode not in (0, 1) and "no ELF core" in result.stderr


def test_damaged_memory(core):
    """Everything reads an image of which what it reads is damaged on the way; a failing seed is said by the output."""
    result = dvmtest.run(dvmtest.BUILD / "tests/fuzz/vmi_image", core, "4711", "8", timeout=120)
    assert "8 rounds" in result.stdout


def test_doctor_healthy(core):
    kinds = {f["kind"] for f in look(core, "doctor")["findings"]}
    assert not kinds & {"panic", "deadlock", "hard-lockup", "soft-lockup", "memory", "disk-full", "kernel-fault"}


def test_doctor_names_what_is_wrong(guest):
    """Last: the guest has been failing since the first test, one CPU in a loop with interrupts off."""
    found = {}
    # the loop must have lasted for a while to be told from work
    def lockup():
        found.clear()
        for f in look(guest.dump("failing"), "doctor")["findings"]:
            found.setdefault(f["kind"], []).append(f["text"])
        return "hard-lockup" in found

    dvmtest.wait_for(lockup, "the doctor to find the lockup", step=1)
    assert "trouble-loop" in found["hard-lockup"][0] and "interrupts off" in found["hard-lockup"][0]
    (deadlock,) = found["deadlock"]
    for word in ("trouble-one", "trouble-two", "trouble_first", "trouble_second"):
        assert word in deadlock
    assert any("trouble-reader" in text and "trouble-holder" in text and "trouble_rwsem" in text for text in found["lock"])
    assert any(text.startswith("/tmp ") for text in found["disk-full"])
    assert any("init" in text and "/dev/console" in text for text in found["prompt"])
    waits = look(guest.dir / "failing", "locks")["waits"]
    assert {(w["name"], w["owner_name"]) for w in waits} >= {
        ("trouble-one", "trouble-two"),
        ("trouble-two", "trouble-one"),
        ("trouble-reader", "trouble-holder"),
    }
    guest.serial.sendall(b"crash\n")
    guest.until("Kernel panic - not syncing")
    findings = look(guest.dump("panicked"), "doctor")["findings"]
    assert findings[0]["kind"] == "panic" and findings[0]["text"].endswith(": sysrq triggered crash")
