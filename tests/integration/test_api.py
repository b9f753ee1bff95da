# SPDX-License-Identifier: Apache-2.0
"""The REST API of the real dvmd over a scripted dvm-hostd: answers, rights, refusals, and that a refusal changes nothing.

Every answer is also held against interfaces/openapi.yaml by the client.
"""

import base64
import concurrent.futures
import contextlib
import http.client
import itertools
import json
import os
import pathlib
import socket
import sqlite3
import struct
import subprocess
import tempfile
import time
import zlib

import pytest
from dvmd import Dvmd, wait_for
from fake_hostd import FakeHostd
from openapi_check import DvmClient
from rpc import Fault, Peer

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHRoaXMgaXMgbm9ib2R5J3Mga2V5LCBidXQgYSBrZXku user"
ATTEMPTS = int(os.environ.get("DVM_TEST_FEEDS", "2000"))  # 10000 were tried, too
DEBUG = ["view", "type", "debug", "disk-read", "disk-write", "power"]


def start(client, *targets, **more):
    return client.ok("POST", "/v1/sessions", {"targets": list(targets), "ssh_key": KEY, **more})


def wait_state(client, session, *states, seconds=20):
    end = time.monotonic() + seconds
    while True:
        found = client.ok("GET", f"/v1/sessions/{session}")
        if found["state"] in states:
            return found
        assert time.monotonic() < end, f"{session} is {found['state']}, not {states}"
        time.sleep(0.05)


def state_of_all(admin):
    """What a refused request must leave as it is."""
    return [admin.ok("GET", target) for target in
            ("/v1/vms", "/v1/sessions?all=true", "/v1/users", "/v1/projects", "/v1/tokens")]


def without_use(state):
    for item in state[4]["items"]:
        item.pop("last_used")
    return state


@pytest.fixture
def unchanged(admin):
    before = without_use(state_of_all(admin))
    yield
    assert without_use(state_of_all(admin)) == before


def running(state):
    (state / "run").mkdir()
    dvmd = Dvmd(state).bootstrap()
    dvmd.host = FakeHostd(dvmd.run / "hostd.sock").start()
    dvmd.start()
    return dvmd


@pytest.fixture(scope="module")
def dvmd(tmp_path_factory):
    dvmd = running(tmp_path_factory.mktemp("dvm"))
    yield dvmd
    dvmd.stop()
    dvmd.host.stop()


def client_of(dvmd):
    return DvmClient(dvmd.run / "api.sock", dvmd.token)


@pytest.fixture(scope="module")
def admin(dvmd):
    client = client_of(dvmd)
    wait_for(lambda: client.with_token(None).get("/healthz").status == 200, what="the host")
    return client


@contextlib.contextmanager
def host_away(dvmd, admin):
    dvmd.host.stop()
    wait_for(lambda: health(admin)["host"] == "down", what="the host to go")
    try:
        yield
    finally:
        dvmd.host.start()
        wait_for(lambda: health(admin)["host"] == "up", what="the host to come back")


def health(client):
    return client.with_token(None).get("/healthz").json["components"]


def memory_kib(dvmd):
    for line in pathlib.Path(f"/proc/{dvmd.process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError("dvmd is gone")


@pytest.fixture(scope="module")
def tenants(dvmd, admin):
    """alice works in the project red, carol looks on; bob is in blue. red has the VM patient."""
    for project in ("red", "blue"):
        admin.ok("POST", "/v1/projects", {"name": project})
    clients = {}
    for user, project, rights in (("alice", "red", DEBUG), ("carol", "red", ["view"]), ("bob", "blue", DEBUG)):
        admin.ok("POST", "/v1/users", {"name": user})
        admin.ok("PUT", f"/v1/projects/{project}/members/{user}", {"rights": rights})
        clients[user] = admin.with_token(admin.ok("POST", "/v1/tokens", {"user": user})["token"])
    dvmd.host.domain("patient")
    admin.ok("POST", "/v1/vms", {"domain": "patient", "project": "red"})
    return clients


@pytest.fixture
def alice(tenants):
    return tenants["alice"]


@pytest.fixture
def bob(tenants):
    return tenants["bob"]


@pytest.fixture
def carol(tenants):
    return tenants["carol"]


@pytest.fixture
def patient(alice):
    """The VM, running and in no session, before and after the test."""
    settle(alice)
    yield alice.ok("GET", "/v1/vms/patient")
    settle(alice)


def settle(alice):
    wait_for(lambda: health(alice)["host"] == "up", what="the host, where the test before sent it away")
    for session in alice.ok("GET", "/v1/sessions")["items"]:
        alice.delete(f"/v1/sessions/{session['id']}")
        wait_state(alice, session["id"], "ended", "failed")
    alice.ok("POST", "/v1/vms/patient/actions", {"action": "on"})
    alice.ok("POST", "/v1/vms/patient/actions", {"action": "resume"})


# ---- service


def test_health(dvmd, admin):
    nobody = admin.with_token(None)
    assert nobody.ok("GET", "/healthz") == {
        "status": "ok", "components": {"store": "up", "host": "up", "hypervisor": "up"}}
    dvmd.host.hypervisor = "down"
    assert nobody.get("/healthz").status == 503
    dvmd.host.hypervisor = "up"
    assert nobody.get("/healthz").status == 200


def test_metrics(admin):
    admin.get("/v1/vms")
    answer = admin.with_token(None).get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = answer.body.decode().splitlines()
    assert any(line.startswith("dvm_http_requests") for line in lines)
    for line in lines:
        assert line.startswith("#") or len(line.rsplit(" ", 1)) == 2 and float(line.rsplit(" ", 1)[1]) >= 0


def test_whoami(admin, alice):
    assert "admin" in admin.ok("GET", "/v1/whoami")["rights"]
    me = alice.ok("GET", "/v1/whoami")
    assert me["user"] == "alice" and me["rights"] == []
    assert [p["name"] for p in me["projects"]] == ["red"]
    assert sorted(me["projects"][0]["rights"]) == sorted(DEBUG)


# ---- who


@pytest.mark.parametrize("fields", [
    {"Authorization": None},
    {"Authorization": "Bearer "},
    {"Authorization": "Bearer dvm_" + "A" * 43},
    {"Authorization": "Bearer " + "x" * 5000},
    {"Authorization": "Basic YWRtaW46YWRtaW4="},
    {"Authorization": "Bearer é"},
])
def test_wrong_tokens(admin, unchanged, fields):
    fields = {k: v.encode() if v else v for k, v in fields.items()}
    for method, target in (("GET", "/v1/vms"), ("POST", "/v1/sessions"), ("DELETE", "/v1/sessions/s-00000000000")):
        problem = admin.refused("unauthenticated", method, target, headers=fields)
        assert problem["hint"]


def test_unknown_callers_are_audited_within_bounds(admin):
    nobody = admin.with_token("dvm_" + "B" * 43)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: nobody.refused("unauthenticated", "GET", "/v1/vms"), range(200)))
    rows = [row for row in everything(admin, "/v1/audit") if row["outcome"] == "unauthenticated"]
    assert 1 <= len(rows) <= 130
    assert all(row["user"] is None for row in rows)


def everything(client, target):
    items, after = [], None
    while True:
        joint = "&" if "?" in target else "?"
        page = client.ok("GET", target + (f"{joint}after={after}" if after else ""))
        items += page["items"]
        after = page["next"]
        if after is None:
            return items


def test_another_tenants_things_do_not_exist(admin, alice, bob, patient, unchanged):
    """404, never 403, whatever is asked; and each refusal is on record."""
    assert bob.ok("GET", "/v1/vms")["items"] == []
    bob.refused("not-found", "GET", "/v1/vms/patient")
    bob.refused("not-found", "GET", f"/v1/vms/{patient['id']}")
    bob.refused("not-found", "GET", "/v1/vms?project=red")
    for action in ("off", "on", "nmi"):
        bob.refused("not-found", "POST", f"/v1/vms/{patient['id']}/actions", {"action": action})
    bob.refused("not-found", "POST", f"/v1/vms/{patient['id']}/streams", {"kind": "console"})
    bob.refused("not-found", "POST", "/v1/sessions", {"targets": [patient["id"]], "ssh_key": KEY})
    bob.refused("not-found", "GET", "/v1/projects/red/members")
    bob.refused("not-found", "PUT", "/v1/projects/red/members/bob", {"rights": ["view"]})
    mine = [row for row in everything(admin, "/v1/audit") if row["user"] == "bob"]
    assert {"vm.power", "stream.open", "session.create", "member.set"} <= {row["action"] for row in mine}
    assert {row["outcome"] for row in mine} == {"not-found"}


def test_another_tenants_session(admin, alice, bob, patient):
    session = start(alice, "patient")["id"]
    wait_state(alice, session, "ready")
    base = f"/v1/sessions/{session}"
    for target in (base, base + "/timeline", base + "/attachments", base + "/attachments/a-00000000000",
                   base + "/recordings", base + "/recordings/console.cast", f"/v1/events?session={session}",
                   f"/v1/audit?session={session}"):
        bob.refused("not-found", "GET", target)
    bob.refused("not-found", "DELETE", base)
    bob.refused("not-found", "POST", base + "/renew")
    bob.refused("not-found", "POST", base + "/streams", {"kind": "ssh"})
    bob.refused("not-found", "POST", base + "/attachments", {"kind": "disk"})
    assert bob.ok("GET", "/v1/sessions?all=true")["items"] == []
    assert alice.ok("GET", base)["state"] == "ready"


def test_a_right_that_is_missing(admin, alice, carol, patient, unchanged):
    """carol is in the project, but may only look."""
    assert carol.ok("GET", "/v1/vms/patient")["name"] == "patient"
    carol.refused("forbidden", "POST", "/v1/vms/patient/actions", {"action": "off"})
    carol.refused("forbidden", "POST", "/v1/sessions", {"targets": ["patient"], "ssh_key": KEY})
    carol.refused("forbidden", "POST", "/v1/vms/patient/streams", {"kind": "console", "mode": "rw"})
    for target in ("/v1/users", "/v1/domains"):
        carol.refused("forbidden", "GET", target)
    carol.refused("forbidden", "POST", "/v1/vms", {"domain": "other"})
    carol.refused("forbidden", "DELETE", "/v1/vms/patient")
    carol.refused("forbidden", "POST", "/v1/users", {"name": "eve"})
    carol.refused("forbidden", "POST", "/v1/projects", {"name": "eve"})
    carol.refused("forbidden", "PUT", "/v1/projects/red/members/carol", {"rights": ["admin"]})
    carol.refused("forbidden", "POST", "/v1/tokens", {"user": "alice"})
    outcomes = {row["outcome"] for row in everything(admin, "/v1/audit") if row["user"] == "carol"}
    assert outcomes == {"forbidden"}


# ---- users, projects, tokens


def test_tokens(admin, alice):
    made = alice.ok("POST", "/v1/tokens", {"name": "laptop", "ttl_s": 3600, "rights": ["view"]})
    laptop = alice.with_token(made["token"])
    assert laptop.ok("GET", "/v1/whoami")["projects"][0]["rights"] == ["view"]
    # A token makes none that lets more through.
    laptop.refused("forbidden", "POST", "/v1/tokens", {"rights": ["view", "power"]})
    assert laptop.ok("POST", "/v1/tokens")["rights"] == ["view"]
    listed = alice.ok("GET", "/v1/tokens")["items"]
    assert made["id"] in [t["id"] for t in listed]
    assert all(t["user"] == "alice" for t in listed)
    assert not any("token" in t for t in listed)
    assert alice.delete(f"/v1/tokens/{made['id']}").status == 204
    laptop.refused("unauthenticated", "GET", "/v1/whoami")
    alice.refused("not-found", "DELETE", f"/v1/tokens/{made['id']}")


def test_tokens_of_others(admin, alice, bob):
    for_alice = admin.ok("POST", "/v1/tokens", {"user": "alice", "name": "by-admin"})
    assert for_alice["user"] == "alice"
    bob.refused("not-found", "DELETE", f"/v1/tokens/{for_alice['id']}")
    assert admin.delete(f"/v1/tokens/{for_alice['id']}").status == 204
    admin.refused("not-found", "POST", "/v1/tokens", {"user": "nobody"})


def test_a_tokens_end(admin):
    short = admin.ok("POST", "/v1/tokens", {"ttl_s": 1})
    client = admin.with_token(short["token"])
    client.ok("GET", "/v1/whoami")
    time.sleep(1.2)
    client.refused("unauthenticated", "GET", "/v1/whoami")


def test_too_many_tokens(admin):
    admin.ok("POST", "/v1/users", {"name": "hoarder"})
    token = admin.ok("POST", "/v1/tokens", {"user": "hoarder"})["token"]
    hoarder = admin.with_token(token)
    for _ in range(99):
        hoarder.ok("POST", "/v1/tokens")
    hoarder.refused("quota", "POST", "/v1/tokens")


def new_key(kind="ed25519", *args):
    """A public key that nobody has yet, as one line."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["ssh-keygen", "-q", "-t", kind, *args, "-N", "", "-C", "me@laptop", "-f", f"{folder}/key"], check=True)
        line = pathlib.Path(f"{folder}/key.pub").read_text().strip()
        shown = subprocess.run(["ssh-keygen", "-l", "-f", f"{folder}/key.pub"], check=True, capture_output=True, text=True)
    return line, shown.stdout.split()[1]


def test_keys(admin, alice, bob):
    line, fingerprint = new_key()
    made = alice.ok("POST", "/v1/keys", {"key": line})
    assert (made["fingerprint"], made["user"], made["comment"]) == (fingerprint, "alice", "me@laptop")
    assert made["type"] == "ssh-ed25519" and made["last_used"] is None
    assert [k["id"] for k in alice.ok("GET", "/v1/keys")["items"]] == [made["id"]]
    assert bob.ok("GET", "/v1/keys")["items"] == []
    assert made["id"] in [k["id"] for k in admin.ok("GET", "/v1/keys")["items"]]
    # One key, one user.
    bob.refused("conflict", "POST", "/v1/keys", {"key": line})
    alice.refused("conflict", "POST", "/v1/keys", {"key": line.split(" me@")[0] + " other"})
    bob.refused("not-found", "DELETE", f"/v1/keys/{made['id']}")
    bob.refused("forbidden", "POST", "/v1/keys", {"key": new_key()[0], "user": "alice"})
    assert admin.ok("POST", "/v1/keys", {"key": new_key("ecdsa")[0], "user": "alice"})["user"] == "alice"
    admin.refused("not-found", "POST", "/v1/keys", {"key": new_key()[0], "user": "nobody"})
    assert alice.delete(f"/v1/keys/{made['id']}").status == 204
    alice.refused("not-found", "DELETE", f"/v1/keys/{made['id']}")
    rows = everything(admin, "/v1/audit?limit=200")
    mine = [(r["action"], r["object"], r["detail"], r["outcome"]) for r in rows]
    assert ("key.add", made["id"], fingerprint, "ok") in mine and ("key.remove", made["id"], fingerprint, "ok") in mine
    for key in alice.ok("GET", "/v1/keys")["items"]:
        assert alice.delete(f"/v1/keys/{key['id']}").status == 204


def test_keys_that_are_none(alice):
    weak, _ = new_key("rsa", "-b", "1024")
    for line in (weak, "ssh-ed25519 AAAA", "x" * 2000, "ssh-dss AAAAB3NzaC1kc3M=", 'command="sh" ' + new_key()[0],
                 "-----BEGIN OPENSSH PRIVATE KEY-----", new_key()[0] + "\n" + new_key()[0]):
        alice.refused("bad-value", "POST", "/v1/keys", {"key": line})


def test_a_key_lets_no_more_through_than_its_token(alice):
    viewer = alice.with_token(alice.ok("POST", "/v1/tokens", {"rights": ["view"]})["token"])
    made = viewer.ok("POST", "/v1/keys", {"key": new_key()[0]})
    assert made["rights"] == ["view"]
    viewer.refused("forbidden", "POST", "/v1/keys", {"key": new_key()[0], "rights": ["view", "power"]})
    assert alice.delete(f"/v1/keys/{made['id']}").status == 204


def test_too_many_keys(alice):
    made = [alice.ok("POST", "/v1/keys", {"key": new_key()[0]})["id"] for _ in range(12)]
    alice.refused("quota", "POST", "/v1/keys", {"key": new_key()[0]})
    for key in made:
        assert alice.delete(f"/v1/keys/{key}").status == 204


def test_users_and_projects(admin):
    assert admin.post("/v1/users", {"name": "dave"}).status == 201
    admin.refused("conflict", "POST", "/v1/users", {"name": "dave"})
    assert admin.post("/v1/projects", {"name": "green"}).status == 201
    admin.refused("conflict", "POST", "/v1/projects", {"name": "green"})
    admin.ok("PUT", "/v1/projects/green/members/dave", {"rights": ["view"]})
    assert admin.ok("GET", "/v1/projects/green/members")["items"] == [
        {"project": "green", "user": "dave", "rights": ["view"]}]
    dave = admin.with_token(admin.ok("POST", "/v1/tokens", {"user": "dave"})["token"])
    assert [p["name"] for p in dave.ok("GET", "/v1/projects")["items"]] == ["green"]
    admin.ok("PUT", "/v1/projects/green/members/dave", {"rights": []})
    assert dave.ok("GET", "/v1/projects")["items"] == []
    admin.refused("not-found", "PUT", "/v1/projects/green/members/nobody", {"rights": []})
    admin.refused("not-found", "PUT", "/v1/projects/nothing/members/dave", {"rights": []})
    assert "dave" in [u["name"] for u in admin.ok("GET", "/v1/users")["items"]]


def test_pages(admin):
    for number in range(5):
        admin.ok("POST", "/v1/projects", {"name": f"page-{number}"})
    names, after, pages = [], None, 0
    while True:
        page = admin.ok("GET", "/v1/projects?limit=2" + (f"&after={after}" if after else ""))
        assert len(page["items"]) <= 2
        names += [p["name"] for p in page["items"]]
        after, pages = page["next"], pages + 1
        if after is None:
            break
    assert pages >= 3
    assert len(names) == len(set(names))
    assert {f"page-{n}" for n in range(5)} <= set(names)


# ---- VMs


def test_adopting(dvmd, admin):
    dvmd.host.domain("fresh")
    assert "fresh" in [d["domain"] for d in admin.ok("GET", "/v1/domains")["items"]]
    answer = admin.post("/v1/vms", {"domain": "fresh", "project": "red"})
    assert answer.status == 201 and answer.headers["location"] == f"/v1/vms/{answer.json['id']}"
    assert answer.json["project"] == "red" and answer.json["state"] == "running"
    assert "fresh" not in [d["domain"] for d in admin.ok("GET", "/v1/domains")["items"]]
    again = admin.ok("POST", "/v1/vms", {"domain": "fresh", "project": "red"})
    assert again["id"] == answer.json["id"]
    detail = admin.ok("GET", "/v1/vms/fresh")
    assert detail["hardware"]["disks"][0]["dev"] == "vda"
    assert admin.delete("/v1/vms/fresh").status == 204
    admin.refused("not-found", "GET", "/v1/vms/fresh")
    admin.refused("not-found", "DELETE", "/v1/vms/fresh")


def test_adopting_nothing(admin, unchanged):
    admin.refused("not-found", "POST", "/v1/vms", {"domain": "no-such-domain"})
    admin.refused("not-found", "POST", "/v1/vms", {"domain": "no-such-domain", "project": "no-such-project"})


def test_power(dvmd, alice, patient):
    assert alice.ok("POST", "/v1/vms/patient/actions", {"action": "off"})["state"] == "off"
    assert alice.ok("POST", f"/v1/vms/{patient['id']}/actions", {"action": "off"})["state"] == "off"
    assert alice.ok("POST", "/v1/vms/patient/actions", {"action": "on"})["state"] == "running"
    assert alice.ok("POST", "/v1/vms/red%2Fpatient/actions", {"action": "pause"})["state"] == "paused"
    assert alice.ok("POST", "/v1/vms/patient/actions", {"action": "resume"})["state"] == "running"


def test_host_away(dvmd, admin, alice, patient, unchanged):
    with host_away(dvmd, admin):
        alice.refused("host-away", "POST", "/v1/vms/patient/actions", {"action": "off"})
        alice.refused("host-away", "GET", "/v1/images")
        assert alice.ok("GET", "/v1/vms/patient")["hardware"] is None


def test_console_stream(alice, carol, patient):
    made = alice.ok("POST", "/v1/vms/patient/streams", {"kind": "console", "mode": "rw"})
    assert made["url"] == f"/v1/streams/{made['ticket']}" and made["service"] == "console"
    assert made["mode"] == "rw" and made["raw"] is False
    raw = carol.ok("POST", "/v1/vms/patient/streams", {"kind": "console", "raw": True})
    assert raw["mode"] == "r" and raw["raw"] is True


def test_hold(dvmd, admin, patient):
    """Once, for the next start or reset; on record as any other change of power."""
    def act(action):
        return admin.ok("POST", "/v1/vms/patient/actions", {"action": action})["state"]

    def hold():
        return admin.ok("GET", "/v1/vms/patient")["hold"]

    viewer = admin.with_token(admin.ok("POST", "/v1/tokens", {"rights": ["view", "debug"]})["token"])
    viewer.refused("forbidden", "POST", "/v1/vms/patient/actions", {"action": "hold"})
    assert not hold()
    before = act("hold")
    assert hold() and before == admin.ok("GET", "/v1/vms/patient")["state"]
    act("unhold")
    assert not hold()
    act("off")
    act("hold")
    assert act("on") == "paused" and not hold()
    assert act("resume") == "running"
    act("hold")
    assert act("reset") == "paused" and not hold()
    assert act("reset") == "paused"


def test_debugger_stream(dvmd, admin, patient):
    """Reading is the right `memory`, controlling is `debug` as well; who has neither is told so."""
    streams = "/v1/vms/patient/streams"
    for rights, mode, works in ((["view"], "r", False), (["view", "debug"], "rw", False), (["view", "memory"], "r", True),
                                (["view", "memory"], "rw", False), (["view", "memory", "debug"], "take", True)):
        who = admin.with_token(admin.ok("POST", "/v1/tokens", {"rights": rights})["token"])
        if works:
            assert who.ok("POST", streams, {"kind": "gdb", "mode": mode})["service"] == "gdb"
            assert dvmd.host.grants[-1]["relay"] == patient["id"] and dvmd.host.grants[-1]["mode"] == mode
        else:
            who.refused("forbidden", "POST", streams, {"kind": "gdb", "mode": mode})
    # what the host says is shown, and is an event
    for state, shown in (("stopped", "stopped"), ("running", "running"), ("off", None)):
        dvmd.host.notify("vm.debugger", vm=patient["id"], state=state, expired=False)
        wait_for(lambda: admin.ok("GET", "/v1/vms/patient")["debugger"] == shown, what=f"the debugger {shown}")


def test_display_stream(dvmd, alice, carol, patient):
    made = alice.ok("POST", "/v1/vms/patient/streams", {"kind": "vnc", "mode": "rw", "raw": True})
    assert made["service"] == "vnc" and made["mode"] == "rw" and made["raw"] is True
    assert dvmd.host.grants[-1]["relay"] == patient["id"] and dvmd.host.grants[-1]["service"] == "vnc"
    assert carol.ok("POST", "/v1/vms/patient/streams", {"kind": "vnc"})["mode"] == "r"
    carol.refused("forbidden", "POST", "/v1/vms/patient/streams", {"kind": "vnc", "mode": "rw"})
    alice.refused("bad-value", "POST", "/v1/vms/patient/streams", {"kind": "ssh"})


def png(*chunks):
    """A picture with these chunks before its end."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 640, 400, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunk(*c) for c in chunks) + chunk(b"IEND", b"")


def test_screenshot(dvmd, admin, alice, bob, carol, patient):
    pixels = (b"IDAT", os.urandom(3000))
    dvmd.host.screen = png((b"tEXt", b"Software\0QEMU 7.2 on canary"), pixels, (b"tIME", b"1234567"))
    answer = carol.get("/v1/vms/patient/screenshot")
    assert answer.status == 200 and answer.headers["content-type"] == "image/png"
    assert answer.body == png(pixels)
    # in parts
    dvmd.host.part = 1000
    assert alice.get("/v1/vms/patient/screenshot").body == png(pixels)
    assert dvmd.host.count("screenshot.read") == 3
    dvmd.host.part = 512 << 10
    for screen in (b"P6 640 400 255 ", png(pixels)[:-1], png()):
        dvmd.host.screen = screen
        alice.refused("display-unsupported", "GET", "/v1/vms/patient/screenshot")
    dvmd.host.screen = b""
    alice.refused("protocol", "GET", "/v1/vms/patient/screenshot")
    dvmd.host.fault("domain.screenshot", "vm-not-running")
    alice.refused("vm-not-running", "GET", "/v1/vms/patient/screenshot")
    bob.refused("not-found", "GET", "/v1/vms/patient/screenshot")
    rows = [r for r in everything(admin, "/v1/audit") if r["action"] == "vm.screenshot"]
    assert [(r["user"], r["outcome"]) for r in rows] == [
        ("carol", "ok"), ("alice", "ok"), *[("alice", "display-unsupported")] * 3, ("alice", "protocol"),
        ("alice", "vm-not-running"), ("bob", "not-found")]


def test_keys(dvmd, admin, alice, bob, carol, patient):
    target = "/v1/vms/patient/keys"
    assert alice.ok("POST", target, {"keys": ["ctrl-alt-del"]}) == {"vm": patient["id"], "chords": 1}
    assert alice.ok("POST", target, {"keys": ["Alt+SysRq+b", "enter"]})["chords"] == 2
    assert alice.ok("POST", target, {"text": "S3cret!"})["chords"] == 7
    sent = [p for m, p in dvmd.host.calls if m == "domain.keys"]
    assert [p["chords"] for p in sent[:2]] == [[[29, 56, 111]], [[56, 99, 48], [28]]]
    assert sent[2]["chords"][:2] == [[42, 31], [4]] and sent[2]["chords"][-1] == [42, 2]
    for body in ({}, {"keys": []}, {"keys": ["hyper"]}, {"keys": ["ctrl-"]}, {"keys": ["a", "b-b"]}, {"keys": ["a"] * 17},
                 {"text": "\u00e4"}, {"text": "a\nb"}, {"text": "x" * 257}, {"text": ""}, {"keys": ["a"], "text": "a"}):
        alice.refused("bad-value", "POST", target, body)
    assert dvmd.host.count("domain.keys") == 3, "all or nothing"
    carol.refused("forbidden", "POST", target, {"keys": ["a"]})
    bob.refused("not-found", "POST", target, {"keys": ["a"]})
    dvmd.host.fault("domain.keys", "vm-not-running")
    alice.refused("vm-not-running", "POST", target, {"keys": ["a"]})
    rows = [r for r in everything(admin, "/v1/audit") if r["action"] == "vm.keys"]
    assert [(r["detail"], r["outcome"]) for r in rows if r["user"] == "alice" and r["outcome"] != "bad-value"] == [
        ("ctrl-alt-del", "ok"), ("Alt+SysRq+b enter", "ok"), ("a text of 7 characters", "ok"), ("a", "vm-not-running")]
    assert "S3cret" not in json.dumps(everything(admin, "/v1/audit"))


def test_tickets(dvmd, alice, patient):
    gate = Peer(dvmd.run / "ticket.sock", "dvm-gate")
    for params in ({"ticket": "A" * 43}, {"ticket": 5}, {}):
        with pytest.raises(Fault, match="ticket-invalid"):
            gate.call("ticket.redeem", **params)
    with pytest.raises(Fault, match="not-supported"):
        gate.call("ticket.make")
    ticket = alice.ok("POST", "/v1/vms/patient/streams", {"kind": "console"})["ticket"]
    got = gate.call("ticket.redeem", ticket=ticket)
    assert got["raw"] is False and got["path"]
    with pytest.raises(Fault, match="ticket-invalid"):
        gate.call("ticket.redeem", ticket=ticket)
    gate.close()


# ---- sessions


def test_a_session_with_keys_on_record(dvmd, alice, patient):
    alice.refused("bad-value", "POST", "/v1/sessions", {"targets": ["patient"]})
    line, _ = new_key()
    made = [alice.ok("POST", "/v1/keys", {"key": line})["id"]]
    # One that lets nobody debug does not log in to a D-VM either.
    made.append(alice.ok("POST", "/v1/keys", {"key": new_key()[0], "rights": ["view"]})["id"])
    for body, wanted in (({}, [line.rsplit(" ", 1)[0]]), ({"ssh_key": KEY}, [KEY, line.rsplit(" ", 1)[0]])):
        session = alice.ok("POST", "/v1/sessions", {"targets": ["patient"], **body})["id"]
        wait_state(alice, session, "ready")
        agent = [p["agent"] for m, p in dvmd.host.calls if m == "dvm.ensure" and p["session"] == session][0]
        assert agent["keys"] == wanted
        alice.delete(f"/v1/sessions/{session}")
        wait_state(alice, session, "ended")
    for key in made:
        assert alice.delete(f"/v1/keys/{key}").status == 204


def test_a_sessions_life(admin, alice, patient):
    answer = alice.post("/v1/sessions", {"targets": ["patient"], "ssh_key": KEY, "stacks": ["disk"], "lease_s": 600})
    assert answer.status == 201
    session = answer.json["id"]
    assert answer.headers["location"] == f"/v1/sessions/{session}"
    ready = wait_state(alice, session, "ready")
    assert ready["address"] == f"{session}.dvm" and ready["owner"] == "alice" and ready["project"] == "red"
    assert ready["targets"] == [{"vm": patient["id"], "name": "patient"}]
    assert ready["host_key"].startswith("ssh-ed25519 ") and ready["ready_at"]
    assert [s["state"] for s in ready["timeline"]][-1] == "ready"
    assert alice.ok("GET", "/v1/vms/patient")["session"] == session
    alice.refused("vm-in-session", "POST", "/v1/sessions", {"targets": ["patient"], "ssh_key": KEY})
    longer = alice.ok("POST", f"/v1/sessions/{session}/renew", {"lease_s": 7200})
    assert longer["lease_expires"] > ready["lease_expires"]
    alice.ok("POST", f"/v1/sessions/{session}/renew", b"")
    assert alice.ok("POST", f"/v1/sessions/{session}/streams", {"kind": "ssh"})["service"] == "ssh"
    console = alice.ok("POST", f"/v1/sessions/{session}/streams", {"kind": "console", "vm": "patient"})
    assert console["service"] == "console/patient"
    assert alice.ok("POST", f"/v1/sessions/{session}/streams", {"kind": "vnc"})["service"] == "vnc/patient"
    alice.refused("not-found", "POST", f"/v1/sessions/{session}/streams", {"kind": "console", "vm": "other"})
    assert alice.delete(f"/v1/sessions/{session}").status == 202
    ended = wait_state(alice, session, "ended")
    assert ended["end_reason"] == "user" and ended["ended"]
    assert alice.delete(f"/v1/sessions/{session}").status == 202
    alice.refused("session-ended", "POST", f"/v1/sessions/{session}/renew")
    alice.refused("session-ended", "POST", f"/v1/sessions/{session}/streams", {"kind": "ssh"})
    types = [e["type"] for e in everything(alice, f"/v1/sessions/{session}/timeline?limit=3")]
    assert types.count("session.state") >= 5
    actions = [row["action"] for row in everything(admin, f"/v1/audit?session={session}")]
    assert "session.create" in actions and "session.end" in actions


def test_disk(alice, patient):
    session = start(alice, "patient")["id"]
    wait_state(alice, session, "ready")
    base = f"/v1/sessions/{session}/attachments"
    alice.refused("vm-running", "POST", base, {"kind": "disk", "mode": "rw"})
    alice.ok("POST", "/v1/vms/patient/actions", {"action": "off"})
    answer = alice.post(base, {"kind": "disk", "mode": "rw"})
    assert answer.status == 201, answer
    made = answer.json
    assert made["devices"] == ["t0-vda"] and answer.headers["location"] == f"{base}/{made['id']}"
    assert alice.ok("GET", f"{base}/{made['id']}") == made
    assert made in alice.ok("GET", base)["items"]
    alice.refused("vm-fenced", "POST", "/v1/vms/patient/actions", {"action": "on"})
    assert alice.ok("GET", "/v1/vms/patient")["fenced"] is True
    assert alice.delete(f"{base}/{made['id']}").status == 200
    assert alice.ok("GET", f"{base}/{made['id']}")["state"] == "gone"
    alice.refused("not-found", "GET", f"{base}/a-00000000000")
    alice.refused("not-found", "DELETE", f"{base}/a-00000000000")
    assert alice.ok("GET", "/v1/vms/patient")["fenced"] is False
    alice.ok("POST", "/v1/vms/patient/actions", {"action": "on"})


def test_images(alice):
    images = alice.ok("GET", "/v1/images")["items"]
    first = images[0]
    assert alice.ok("GET", f"/v1/images/{first['id']}") == first
    assert alice.ok("GET", f"/v1/images/{first['id'][:8]}") == first
    assert alice.ok("GET", f"/v1/images/{first['name']}") == first
    alice.refused("image-missing", "GET", f"/v1/images/{first['id'][:7]}")
    alice.refused("image-missing", "GET", "/v1/images/none")


def test_missing_image_and_stack(dvmd, alice, patient):
    """Only the host knows: the session is on record, and fails for a reason that it names."""
    for code in ("image-missing", "stack-missing", "image-damaged"):
        dvmd.host.fault("dvm.ensure", code)
        session = start(alice, "patient")["id"]
        failed = wait_state(alice, session, "failed")
        assert failed["fault"]["code"] == code and failed["fault"]["hint"]
        assert alice.ok("GET", "/v1/vms/patient")["session"] is None


# ---- recordings


def test_recordings(dvmd, alice, patient):
    session = start(alice, "patient")["id"]
    wait_state(alice, session, "ready")
    text = b"".join(b'[%d.5, "o", "line %d\\r\\n"]\n' % (n, n) for n in range(20000))
    dvmd.host.recordings[session] = {"patient.cast": text}
    base = f"/v1/sessions/{session}/recordings"
    assert alice.ok("GET", base)["items"] == [
        {"name": "patient.cast", "size_bytes": len(text), "format": "asciicast-v2"}]
    assert alice.get(f"{base}/patient.cast").body == text
    head = alice.request("HEAD", f"{base}/patient.cast")
    assert head.status == 200 and head.headers["content-length"] == str(len(text)) and head.body == b""

    def part(spec):
        return alice.get(f"{base}/patient.cast", headers={"Range": spec})

    assert part("bytes=10-19").body == text[10:20] and part("bytes=10-19").status == 206
    assert part("bytes=10-19").headers["content-range"] == f"bytes 10-19/{len(text)}"
    assert part("bytes=300000-").body == text[300000:]
    assert part("bytes=-5").body == text[-5:]
    assert part("bytes=0-").status == 206
    assert part("lines=1-2").status == 200
    beyond = part(f"bytes={len(text)}-")
    assert beyond.status == 416 and beyond.headers["content-range"] == f"bytes */{len(text)}"
    alice.refused("not-found", "GET", f"{base}/other.cast")
    alice.refused("not-found", "GET", f"{base}/..%2f..%2fstore.sqlite")
    dvmd.host.recordings[session] = {"patient.cast": b""}
    assert alice.get(f"{base}/patient.cast").body == b""


def test_recordings_of_a_vm(dvmd, alice, bob, patient):
    name, text = "000001-20261127t200511z", b'[0.5, "o", "line"]\n' * 20000
    vm = alice.ok("GET", "/v1/vms/patient")["id"]
    dvmd.host.recordings[vm] = {name: text}
    base = "/v1/vms/patient/recordings"
    (item,) = alice.ok("GET", base)["items"]
    assert item["name"] == name and item["size_bytes"] == len(text) and item["begun"]
    assert alice.get(f"{base}/{name}").body == text
    assert alice.get(f"/v1/vms/{vm}/recordings/{name}", headers={"Range": "bytes=10-19"}).body == text[10:20]
    alice.refused("not-found", "GET", f"{base}/000002-20261127t200511z")
    alice.refused("not-found", "GET", f"{base}/..%2fring")
    for path in (base, f"{base}/{name}", f"/v1/vms/{vm}/recordings", f"/v1/vms/{vm}/recordings/{name}"):
        bob.refused("not-found", "GET", path)
    assert alice.ok("GET", "/v1/vms/patient")["history"]["bytes"] == len(text)
    dvmd.host.history_stopped = "disk-full"
    assert alice.ok("GET", "/v1/vms/patient")["history"]["stopped"] == "disk-full"
    dvmd.host.history_stopped = None
    dvmd.host.notify("history.stopped", vm=vm, code="disk-full")
    wait_for(lambda: 'dvm_console_history_stopped_total{code="disk-full"} 1' in alice.get("/metrics").body.decode(),
             what="the metric")


def test_console_history_of_a_vm(dvmd, admin, alice, bob, patient):
    vm = alice.ok("GET", "/v1/vms/patient")
    assert vm["console_history"] == "kept"
    path = "/v1/vms/red%2Fpatient/settings"
    alice.refused("forbidden", "PUT", path, {"console_history": "none"})
    bob.refused("not-found", "PUT", path, {"console_history": "none"})
    admin.refused("bad-value", "PUT", path, {"console_history": "some"})
    admin.refused("bad-value", "PUT", path, {})
    assert admin.ok("PUT", path, {"console_history": "none"})["console_history"] == "none"
    assert dvmd.host.consoles[vm["id"]]["keep"] is False
    assert alice.ok("GET", "/v1/vms/patient")["console_history"] == "none"
    assert admin.ok("PUT", path, {"console_history": "kept"})["console_history"] == "kept"
    # a host that was away is told by reconcile
    dvmd.host.fault("console.ensure", "host-away")
    admin.refused("host-away", "PUT", path, {"console_history": "none"})
    assert alice.ok("GET", "/v1/vms/patient")["console_history"] == "none"
    assert dvmd.host.consoles[vm["id"]]["keep"] is True
    dvmd.host.notify("hypervisor", up=True)
    wait_for(lambda: dvmd.host.consoles[vm["id"]]["keep"] is False, what="reconcile")
    assert admin.ok("PUT", path, {"console_history": "kept"})["console_history"] == "kept"
    domain = dvmd.host.domain("silent")
    silent = admin.ok("POST", "/v1/vms", {"domain": "silent", "console_history": "none"})
    assert silent["console_history"] == "none" and dvmd.host.consoles[silent["id"]]["keep"] is False
    admin.request("DELETE", f"/v1/vms/{silent['id']}")
    del dvmd.host.domains[domain]


def test_a_recording_that_breaks_off(dvmd, alice, patient):
    """A host that goes away in the middle: the connection ends short, it does not hang or lie."""
    session = start(alice, "patient")["id"]
    wait_state(alice, session, "ready")
    dvmd.host.recordings[session] = {"patient.cast": b"x" * 8000000}
    with contextlib.closing(alice.connection()) as connection:
        connection.request("GET", f"/v1/sessions/{session}/recordings/patient.cast", headers=alice.fields(None, None))
        response = connection.getresponse()
        assert response.status == 200 and response.read(1000) == b"x" * 1000
        dvmd.host.fault("recording.read", "host-away", None)
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            response.read()
    dvmd.host.faults.clear()


# ---- events


def next_event(feed, wanted):
    for event in feed:
        if event and wanted(event):
            return event
    raise AssertionError("the feed has ended")


def test_events(alice, patient):
    with alice.events() as feed:
        session = start(alice, "patient")["id"]
        ready = next_event(feed, lambda e: e["type"] == "session.state" and e["data"]["to"] == "ready")
        assert ready["session"] == session and ready["project"] == "red"
    # Again, from the start and from the middle: the same ones.
    with alice.events(after=0, session=session) as feed:
        first = next(feed)
        assert first["session"] == session
        again = next_event(feed, lambda e: e["id"] == ready["id"])
        assert again == ready
    with alice.events(headers={"Last-Event-ID": str(ready["id"] - 1)}) as feed:
        assert next(feed) == ready


def test_events_of_others(admin, alice, bob, patient):
    with bob.events(after=0, timeout=3) as feed:
        session = start(alice, "patient")["id"]
        wait_state(alice, session, "ready")
        with pytest.raises(TimeoutError):
            next_event(feed, lambda e: True)
    with admin.events(after=0, session=session) as feed:
        assert next(feed)["session"] == session


def test_bad_event_requests(alice, unchanged):
    alice.refused("bad-value", "GET", "/v1/events?after=-1")
    alice.refused("bad-value", "GET", "/v1/events?after=x")
    alice.refused("bad-value", "GET", "/v1/events", headers={"Last-Event-ID": "x"})
    alice.refused("unknown-field", "GET", "/v1/events?since=1")
    alice.refused("not-found", "GET", "/v1/events?session=s-00000000000")


def test_many_feeds_are_bounded(dvmd, admin, alice):
    """A user has 16 feeds; thousands of attempts leave no more, and others are served meanwhile."""
    held = []
    request = (f"GET /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {alice.token}\r\n\r\n").encode()
    statuses = []
    for _ in range(ATTEMPTS):
        feed = socket.socket(socket.AF_UNIX)
        feed.connect(str(dvmd.run / "api.sock"))
        feed.sendall(request)
        status = int(feed.recv(12).split()[1])
        statuses.append(status)
        if status == 200:
            held.append(feed)
        else:
            feed.close()
    assert statuses.count(200) == 16 and statuses.count(429) == ATTEMPTS - 16
    assert admin.ok("GET", "/v1/whoami")
    problem = alice.refused("quota", "GET", "/v1/events")
    assert problem["hint"]
    for feed in held:
        feed.close()
    end = time.monotonic() + 10
    while alice_is_full(alice):
        assert time.monotonic() < end
        time.sleep(0.2)


def alice_is_full(alice):
    try:
        with alice.events():
            return False
    except AssertionError:
        return True


def test_a_feed_ends_with_its_token(dvmd, admin, alice):
    made = alice.ok("POST", "/v1/tokens", {"name": "feed"})
    with alice.with_token(made["token"]).events(timeout=25) as feed:
        alice.delete(f"/v1/tokens/{made['id']}")
        assert [event for event in feed if event is not None] == []


def test_clients_that_never_read(tmp_path):
    """Fifteen of them, with 16 MiB of events to come for each, cost next to no memory, and nobody waits for them."""
    with contextlib.ExitStack() as end:
        dvmd = running(tmp_path)
        end.callback(dvmd.host.stop)
        dvmd.stop()
        with contextlib.closing(sqlite3.connect(dvmd.state / "store.sqlite")) as store, store:
            store.executemany(
                "INSERT INTO events (time, type, session_id, vm_id, project_id, data) VALUES (?, 'vm.test', '', '', '', ?)",
                [(int(time.time() * 1e6), json.dumps({"text": "x" * 1000}))] * 16384)
        dvmd.start()
        end.callback(dvmd.stop)
        admin = client_of(dvmd)
        admin.ok("GET", "/v1/whoami")
        before = memory_kib(dvmd)
        stuck = []
        for _ in range(15):
            client = socket.socket(socket.AF_UNIX)
            client.connect(str(dvmd.run / "api.sock"))
            client.sendall(f"GET /v1/events?after=0 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {dvmd.token}\r\n\r\n".encode())
            client.recv(1)
            stuck.append(client)
        admin.ok("POST", "/v1/projects", {"name": "meanwhile"})
        assert memory_kib(dvmd) - before < 100000  # of 245760; a sanitizer keeps much of what was freed
        with admin.events(after=0) as feed:
            assert sum(1 for _ in itertools.islice(feed, 16384)) == 16384
        for client in stuck:
            client.close()


# ---- Idempotency-Key


def test_idempotency(alice, patient):
    key = {"Idempotency-Key": "one"}
    body = {"targets": ["patient"], "ssh_key": KEY}
    first = alice.post("/v1/sessions", body, headers=key)
    assert first.status == 201
    wait_state(alice, first.json["id"], "ready")
    again = alice.post("/v1/sessions", body, headers=key)
    assert (again.status, again.body) == (first.status, first.body)
    assert again.headers["location"] == first.headers["location"]
    alice.refused("idempotency-mismatch", "POST", "/v1/sessions", {**body, "lease_s": 60}, headers=key)
    alice.refused("idempotency-mismatch", "POST", "/v1/vms/patient/actions", {"action": "on"}, headers=key)
    alice.refused("vm-in-session", "POST", "/v1/sessions", body, headers={"Idempotency-Key": "two"})
    alice.delete(f"/v1/sessions/{first.json['id']}")
    wait_state(alice, first.json["id"], "ended")
    # What was refused did nothing: its key can be used again.
    second = alice.post("/v1/sessions", body, headers={"Idempotency-Key": "two"})
    assert second.status == 201 and second.json["id"] != first.json["id"]


def test_idempotency_of_two_users(admin, alice, bob):
    key = {"Idempotency-Key": "shared"}
    assert alice.post("/v1/tokens", {"name": "a"}, headers=key).status == 201
    assert bob.post("/v1/tokens", {"name": "b"}, headers=key).status == 201


def test_idempotency_while_under_way(dvmd, alice, patient):
    key = {"Idempotency-Key": "slow"}
    before = dvmd.host.count("domain.power")
    dvmd.host.delays["domain.power"] = 2
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        first = pool.submit(alice.post, "/v1/vms/patient/actions", {"action": "pause"}, headers=key)
        wait_for(lambda: dvmd.host.count("domain.power") > before, what="the first request")
        problem = alice.refused("conflict", "POST", "/v1/vms/patient/actions", {"action": "pause"}, headers=key)
        assert "under way" in problem["detail"]
        assert first.result().status == 200
    dvmd.host.delays.clear()
    assert alice.post("/v1/vms/patient/actions", {"action": "pause"}, headers=key).status == 200
    assert dvmd.host.count("domain.power") == before + 1


def test_idempotency_outlives_dvmd(dvmd, alice, admin):
    key = {"Idempotency-Key": "restart"}
    first = admin.post("/v1/projects", {"name": "lasting"}, headers=key)
    assert first.status == 201
    dvmd.stop()
    dvmd.start()
    assert admin.post("/v1/projects", {"name": "lasting"}, headers=key).body == first.body


def broken_off(dvmd, where, client, *request, key):
    """Sends a request over which dvmd dies, and starts dvmd again."""
    dvmd.arm(f"{where}=once-kill")
    with pytest.raises((OSError, http.client.HTTPException)):
        client.request("POST", *request, headers={"Idempotency-Key": key})
    dvmd.wait_killed()
    dvmd.start()
    wait_for(lambda: health(client)["host"] == "up", what="the host")


@pytest.mark.parametrize("where", ["api.begun", "api.answer"])
def test_a_repeated_request_after_a_crash_makes_one_thing(dvmd, admin, alice, patient, where):
    """Killed before the act, and between the act and its answer: what is repeated is done once."""
    def sessions():
        return {s["id"] for s in alice.ok("GET", "/v1/sessions?all=true")["items"]}

    before, key = sessions(), {"Idempotency-Key": f"crash-{where}"}
    body = {"targets": ["patient"], "ssh_key": KEY}
    broken_off(dvmd, where, alice, "/v1/sessions", body, key=key["Idempotency-Key"])
    assert len(sessions() - before) == (where == "api.answer")
    alice.refused("idempotency-mismatch", "POST", "/v1/sessions", {**body, "lease_s": 60}, headers=key)
    again = alice.post("/v1/sessions", body, headers=key)
    assert again.status == 201 and {again.json["id"]} == sessions() - before
    assert again.headers["location"] == f"/v1/sessions/{again.json['id']}"
    # from now on it has its answer
    assert alice.post("/v1/sessions", body, headers=key).body == again.body
    alice.delete(f"/v1/sessions/{again.json['id']}")

    for path, made in (("/v1/users", {"name": f"crash-{where[4:]}"}), ("/v1/projects", {"name": f"crash-{where[4:]}"})):
        broken_off(dvmd, where, admin, path, made, key=key["Idempotency-Key"] + path)
        again = admin.post(path, made, headers={"Idempotency-Key": key["Idempotency-Key"] + path})
        assert again.status == 201 and again.json["name"] == made["name"]
        assert [i["name"] for i in admin.ok("GET", path)["items"]].count(made["name"]) == 1


def test_a_repeated_reset_after_a_crash_is_no_second_one(dvmd, alice, patient):
    def resets():
        return dvmd.host.count("domain.power")

    path = "/v1/vms/patient/actions"
    before = resets()
    broken_off(dvmd, "vm.power.done", alice, path, {"action": "reset"}, key="reset-1")
    problem = alice.refused("conflict", "POST", path, {"action": "reset"}, headers={"Idempotency-Key": "reset-1"})
    assert "may have been done" in problem["detail"] and resets() == before + 1
    broken_off(dvmd, "api.answer", alice, path, {"action": "reset"}, key="reset-2")
    assert alice.post(path, {"action": "reset"}, headers={"Idempotency-Key": "reset-2"}).status == 200
    assert resets() == before + 2
    # what comes to the same is done again
    broken_off(dvmd, "vm.power.done", alice, path, {"action": "pause"}, key="pause")
    assert alice.post(path, {"action": "pause"}, headers={"Idempotency-Key": "pause"}).json["state"] == "paused"


def test_a_secret_is_lost_with_a_crash(dvmd, alice):
    before = len(alice.ok("GET", "/v1/tokens")["items"])
    broken_off(dvmd, "api.answer", alice, "/v1/tokens", {"name": "x"}, key="lost-secret")
    alice.refused("conflict", "POST", "/v1/tokens", {"name": "x"}, headers={"Idempotency-Key": "lost-secret"})
    assert len(alice.ok("GET", "/v1/tokens")["items"]) == before + 1


def test_secrets_are_not_kept(dvmd, alice, patient):
    key = {"Idempotency-Key": "secret"}
    made = alice.post("/v1/tokens", {"name": "x"}, headers=key).json
    alice.refused("conflict", "POST", "/v1/tokens", {"name": "x"}, headers=key)
    ticket = alice.post("/v1/vms/patient/streams", {"kind": "console"}, headers={"Idempotency-Key": "ticket"}).json
    everywhere = b"".join(path.read_bytes() for path in dvmd.state.rglob("store.sqlite*"))
    assert made["token"].encode() not in everywhere
    assert ticket["ticket"].encode() not in everywhere


@pytest.mark.parametrize("key", ["", "x" * 129, "with blank", "é"])
def test_bad_keys(alice, unchanged, key):
    alice.refused("bad-request", "POST", "/v1/tokens", {}, headers={"Idempotency-Key": key.encode()})


# ---- bad input

DEEP = b'{"targets":' + b"[" * 100000 + b"]" * 100000 + b"}"
BODIES = [
    (b"", "bad-json"),
    (b"{", "bad-json"),
    (b"[]", "bad-json"),
    (b"null", "bad-json"),
    (b'"text"', "bad-json"),
    (b"{} {}", "bad-json"),
    (b"{'targets':[]}", "bad-json"),
    (b'{"targets":["a"],"targets":["b"]}', "bad-json"),
    (b'{"targets":["\xff\xfe"]}', "bad-json"),
    (b'{"targets":["\xed\xa0\x80"]}', "bad-json"),
    (b'{"targets":["a\\u0000b"]}', "bad-json"),
    (b'{"targets":["a"]}\0', "bad-json"),
    (b"\0" * 100, "bad-json"),
    (b'{"lease_s":1e999}', "bad-json"),
    (b'{"lease_s":99999999999999999999999}', "bad-json"),
    (DEEP, "bad-json"),
    (b"x" * (1024 * 1024), "bad-json"),
    (b"x" * (1024 * 1024 + 1), "too-large"),
    (b"x" * (8 * 1024 * 1024), "too-large"),
    (b'{"tragets":["a"]}', "unknown-field"),
    (b'{"targets":["a"],"ssh_key":"' + KEY.encode() + b'","x\\u001b":1}', "unknown-field"),
    (b"{}", "bad-value"),
]
VALUES = [
    ({"targets": []}, "targets"),
    ({"targets": "patient"}, "targets"),
    ({"targets": [1]}, "targets"),
    ({"targets": [""]}, "targets"),
    ({"targets": ["x" * 128]}, "targets"),
    ({"targets": ["a"] * 9}, "targets"),
    ({"targets": ["a\nb"]}, "targets"),
    ({"targets": None}, "targets"),
    ({"ssh_key": 5}, "ssh_key"),
    ({"ssh_key": "short"}, "ssh_key"),
    ({"ssh_key": "x" * 3001}, "ssh_key"),
    ({"lease_s": 0}, "lease_s"),
    ({"lease_s": -1}, "lease_s"),
    ({"lease_s": 604801}, "lease_s"),
    ({"lease_s": 1.5}, "lease_s"),
    ({"lease_s": "60"}, "lease_s"),
    ({"lease_s": True}, "lease_s"),
    ({"stacks": ["Bad Name"]}, "stacks"),
    ({"stacks": ["a"] * 17}, "stacks"),
    ({"attach": ["spice"]}, "attach"),
    ({"attach": ["disk", "disk"]}, "attach"),
    ({"placement": "here"}, "placement"),
    ({"image": ""}, "image"),
]


@pytest.mark.parametrize("body,code", BODIES, ids=lambda v: repr(v[:24]) if isinstance(v, bytes) else v)
def test_bad_bodies(alice, unchanged, body, code):
    problem = alice.refused(code, "POST", "/v1/sessions", body)
    assert problem["detail"] and problem["hint"]


@pytest.mark.parametrize("change,name", VALUES, ids=lambda v: json.dumps(v)[:40])
def test_bad_values(alice, patient, unchanged, change, name):
    """The fault names the member."""
    problem = alice.refused("bad-value", "POST", "/v1/sessions", {"targets": ["patient"], "ssh_key": KEY, **change})
    assert f"`{name}`" in problem["detail"] and problem["hint"]


def test_bad_ssh_keys(alice, patient, unchanged):
    cut = KEY.replace(KEY.split()[1], base64.b64encode(base64.b64decode(KEY.split()[1])[:-1]).decode())
    for key in ("x" * 100, "ssh-ed25519 not+base64!", "-----BEGIN OPENSSH PRIVATE KEY-----", KEY + "\n" + KEY, cut):
        alice.refused("bad-value", "POST", "/v1/sessions", {"targets": ["patient"], "ssh_key": key})


def test_what_does_not_exist(alice, patient, unchanged):
    alice.refused("not-found", "POST", "/v1/sessions", {"targets": ["none"], "ssh_key": KEY})
    alice.refused("not-found", "POST", "/v1/sessions", {"targets": ["patient", "none"], "ssh_key": KEY})
    for target in ("/v1/vms/none", "/v1/vms/v-00000000000", "/v1/vms/none%2Fpatient", "/v1/vms/" + "x" * 300,
                   "/v1/sessions/s-00000000000", "/v1/sessions/none", "/v1/sessions/" + "x" * 300,
                   "/v1/sessions/s-00000000000/timeline"):
        alice.refused("not-found", "GET", target)
    alice.refused("not-found", "DELETE", "/v1/sessions/s-00000000000")
    alice.refused("not-found", "POST", "/v1/vms/none/actions", {"action": "on"})
    for target in ("/", "/v1", "/v1/", "/v2/vms", "/v1/vms/", "//v1/vms", "/v1/../healthz"):
        alice.refused("not-found", "GET", target)


def test_paths_and_queries(alice, unchanged):
    for target in ("/v1/vms/%", "/v1/vms/%zz", "/v1/vms/%00", "/v1/vms/%ff", "/v1/vms/a%0ab", "/v1/vms?after=%ff"):
        alice.refused("bad-request", "GET", target)
    for target in ("/v1/vms?limit=0", "/v1/vms?limit=201", "/v1/vms?limit=x", "/v1/vms?limit=1&limit=2",
                   "/v1/vms?project=UPPER", "/v1/sessions?all=1", "/v1/audit?after=-1"):
        alice.refused("bad-value", "GET", target)
    alice.refused("unknown-field", "GET", "/v1/vms?verbose=1")
    alice.refused("unknown-field", "GET", "/healthz?x=1")


def test_methods(alice, unchanged):
    for method in ("PATCH", "TRACE", "BREW", "PUT"):
        alice.refused("method-not-allowed", method, "/v1/vms")
    alice.refused("method-not-allowed", "DELETE", "/v1/sessions")
    assert alice.request("OPTIONS", "/v1/vms").status == 204
    assert alice.request("HEAD", "/v1/vms").body == b""
    assert alice.with_token(None).request("HEAD", "/v1/vms").status == 401


def test_content_types(alice, unchanged):
    body = json.dumps({"name": "x"}).encode()
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonx", "multipart/form-data"):
        alice.refused("bad-request", "POST", "/v1/tokens", body, headers={"Content-Type": kind})
    alice.refused("bad-request", "DELETE", "/v1/sessions/s-00000000000", b"{}")


def test_request_ids(admin, alice):
    assert alice.get("/v1/vms", headers={"X-Request-Id": "my-id.1_2"}).headers["x-request-id"] == "my-id.1_2"
    made = alice.get("/v1/vms", headers={"X-Request-Id": "not valid"}).headers["x-request-id"]
    assert made.startswith("r-")
    alice.refused("not-found", "POST", "/v1/vms/none/actions", {"action": "on"}, headers={"X-Request-Id": "find-me"})
    assert [row["action"] for row in everything(admin, "/v1/audit") if row["request"] == "find-me"] == ["vm.power"]


def raw_request(dvmd, data, seconds=10):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(seconds)
        connection.connect(str(dvmd.run / "api.sock"))
        try:
            connection.sendall(data)
        except OSError:
            pass
        answer = b""
        try:
            while chunk := connection.recv(65536):
                answer += chunk
        except OSError:
            pass
        return answer


@pytest.mark.parametrize("data", [
    b"\0" * 1000 + b"\r\n\r\n",
    b"GET\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"POST /v1/tokens HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"POST /v1/tokens HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    b"POST /v1/tokens HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20000 + b"\r\n",
], ids=lambda d: repr(d[:30]))
def test_what_is_no_http(dvmd, alice, data):
    """The gate lets none of this through; dvmd stands it all the same."""
    answer = raw_request(dvmd, data + b"Connection: close\r\n\r\n", seconds=3)
    assert not answer or answer.split()[1][:1] in (b"4", b"5")
    alice.ok("GET", "/v1/whoami")


def test_walk(admin, alice, patient):
    """Every path and every way to be refused, as a user and as an administrator; nothing changes."""
    session = start(alice, "patient")["id"]
    wait_state(alice, session, "ready")
    for client in (alice, admin):
        assert len(client.walk(session=session, vm="patient")) > 300
    assert alice.ok("GET", f"/v1/sessions/{session}")["state"] == "ready"
