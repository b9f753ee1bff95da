# SPDX-License-Identifier: Apache-2.0
"""The command line against a server of the test's own: requests, retries, output, exit codes, completion, manual."""
import http.server
import json
import os
import pathlib
import re
import subprocess
import threading

import pytest

TREE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("DVM_BUILD", TREE / "build"))
DVM = BUILD / "src/cli/dvm"
SESSION = {
    "id": "s-7m2x9qkd", "state": "ready", "address": "s-7m2x9qkd.dvm", "owner": "alice", "project": "demo",
    "targets": [{"vm": "v-3k9w5t1z", "name": "patient"}], "stacks": ["disk"], "image": None,
    "host_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHB0", "lease_s": 3600,
    "lease_expires": "2999-11-23T10:13:00.123Z", "created": "2026-11-23T09:13:00.123Z",
    "ready_at": "2026-11-23T09:13:04.120Z", "ended": None, "fault": None, "attachments": [], "timeline": [],
}


class Server:
    """Answers with what the test queued for "METHOD PATH" (the last one again and again), and keeps the requests."""

    def __init__(self):
        self.answers, self.requests = {}, []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                key = f"{self.command} {self.path}"
                outer.requests.append((key, dict(self.headers), json.loads(body) if body else None))
                queue = outer.answers.get(key)
                if not queue:
                    queue = [(404, problem("not-found", "There is no such thing.", "Look again."))]
                answer = queue.pop(0) if len(queue) > 1 else queue[0]
                if answer is None:  # the connection breaks
                    self.close_connection = True
                    return
                status, content = answer
                kind = "application/json" if status < 400 else "application/problem+json"
                if isinstance(content, bytes):
                    kind, data = "text/event-stream", content
                else:
                    data = json.dumps(content).encode() if content is not None else b""
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_DELETE = do_PUT = handle_one

            def log_message(self, *_):
                pass

        self.httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.httpd.server_port}"
        threading.Thread(target=self.httpd.serve_forever, daemon=True).start()

    def on(self, key, *answers):
        self.answers[key] = list(answers)

    def seen(self, key):
        return [r for r in self.requests if r[0] == key]


def problem(code, detail, hint):
    return {"type": "about:blank", "title": "No", "status": 404, "code": code, "detail": detail, "hint": hint}


@pytest.fixture
def server():
    s = Server()
    yield s
    s.httpd.shutdown()


@pytest.fixture
def dvm(server, tmp_path):
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LC_ALL": "C.UTF-8", "TZ": "UTC",
           "DVM_URL": server.url, "DVM_TOKEN": "secret"}

    def run(*args, env=env, **options):
        return subprocess.run([DVM, *args], env=env, text=True, capture_output=True, timeout=60,
                              stdin=subprocess.DEVNULL, **options)

    run.env, run.home = env, tmp_path
    return run


def commands(dvm):
    return re.findall(r"^  ([a-z-]+(?: [a-z-]+)?)  +\S", dvm("--help").stdout, re.M)


def test_lists_are_tables_and_json(server, dvm):
    vm = {"id": "v-1", "name": "patient", "project": "demo", "state": "running", "session": None,
          "state_at": "2026-11-23T09:13:00.123Z", "fenced": False, "created": "2026-11-23T09:13:00.123Z"}
    server.on("GET /v1/vms?limit=200", (200, {"items": [vm], "next": "v-1"}))
    server.on("GET /v1/vms?limit=200&after=v-1", (200, {"items": [dict(vm, name="second\x1b[2J")], "next": None}))
    lines = dvm("vm", "list").stdout.splitlines()
    assert lines[0].split() == ["NAME", "ID", "PROJECT", "STATE", "SINCE", "FENCE", "SESSION", "DEBUGGER"]
    assert lines[1].split()[:4] == ["patient", "v-1", "demo", "running"]
    assert lines[2].startswith("second?[2J ")
    assert [v["id"] for v in json.loads(dvm("vm", "list", "--json").stdout)] == ["v-1", "v-1"]
    assert server.requests[0][1]["Authorization"] == "Bearer secret"


def test_faults_have_hint_and_status(server, dvm):
    for code, status in (("not-found", 4), ("forbidden", 3), ("vm-in-session", 5), ("host-away", 6), ("internal", 7)):
        server.on("GET /v1/vms/x", (503, problem(code, "It is so.", "Do that.")))
        r = dvm("vm", "show", "x")
        assert (r.returncode, r.stderr, r.stdout) == (status, "dvm: It is so.\nhint: Do that.\n", "")
        r = dvm("vm", "show", "x", "--json")
        assert (r.returncode, r.stderr) == (status, "dvm: It is so.\nhint: Do that.\n")
        said = json.loads(r.stdout)
        assert (said["code"], said["detail"], said["hint"]) == (code, "It is so.", "Do that.")


def test_an_answer_that_is_no_problem_document(server, dvm):
    server.on("GET /v1/vms/x", (500, b"<html>"))
    r = dvm("vm", "show", "x")
    assert r.returncode == 7 and "status 500" in r.stderr
    server.on("GET /v1/vms/x", (200, b"<html>"))
    assert "not JSON" in dvm("vm", "show", "x").stderr


def test_a_broken_connection_is_tried_again_with_the_same_key(server, dvm):
    server.on("POST /v1/vms/patient/actions", None, None,
              (200, {"vm": "v-1", "action": "off", "state": "off"}))
    r = dvm("power", "off", "patient")
    assert (r.returncode, r.stdout) == (0, "patient: off\n"), r.stderr
    seen = server.seen("POST /v1/vms/patient/actions")
    assert len(seen) == 3 and seen[0][2] == {"action": "off"}
    assert len({s[1]["Idempotency-Key"] for s in seen}) == 1


def test_nobody_there(dvm):
    r = dvm("vm", "list", env={**dvm.env, "DVM_URL": "http://127.0.0.1:1"})
    assert r.returncode == 6 and "cannot reach dvm" in r.stderr


def test_not_configured(dvm):
    env = {k: v for k, v in dvm.env.items() if not k.startswith("DVM_")}
    r = dvm("vm", "list", env=env)
    assert r.returncode == 2 and "no dvm is configured" in r.stderr


def test_configuration_file(server, dvm):
    env = {k: v for k, v in dvm.env.items() if not k.startswith("DVM_")}
    path = dvm.home / ".config/dvm/config"
    path.parent.mkdir(parents=True)
    path.write_text(f"[dvm]\nurl = {server.url}/\ntoken = fromfile\n")
    path.chmod(0o644)
    assert "others can read" in dvm("vm", "list", env=env).stderr
    path.chmod(0o600)
    server.on("GET /v1/vms?limit=200", (200, {"items": [], "next": None}))
    assert dvm("vm", "list", env=env).returncode == 0
    assert server.requests[-1][1]["Authorization"] == "Bearer fromfile"
    # What is in the environment is a whole: its address never gets the file's token.
    r = dvm("vm", "list", env={**env, "DVM_URL": server.url})
    assert r.returncode == 3 and "no token" in r.stderr


def test_no_token_over_the_network_in_the_clear(dvm):
    r = dvm("vm", "list", env={**dvm.env, "DVM_URL": "http://192.0.2.1"})
    assert r.returncode == 2 and "not an address of dvm" in r.stderr


def test_debug(server, dvm):
    events = [{"id": 7, "at": "2026-11-23T09:13:00.123Z", "type": "session.state", "data": {"from": None, "to": "requested"}},
              {"id": 9, "at": "2026-11-23T09:13:04.123Z", "type": "session.state", "data": {"from": "x", "to": "ready"}}]
    stream = [f"id: {e['id']}\nevent: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in events]
    server.on("POST /v1/sessions", (201, dict(SESSION, state="requested")))
    # The stream breaks once, and goes on where it was.
    server.on("GET /v1/events?session=s-7m2x9qkd", (200, stream[0]), (200, stream[1]))
    server.on("GET /v1/sessions/s-7m2x9qkd", (200, dict(SESSION, state="provisioning")), (200, SESSION))
    r = dvm("debug", "patient", "--stack", "disk,net", "--attach", "console", "--lease", "90m", "--json")
    assert r.returncode == 0, r.stderr
    out = json.loads(r.stdout)
    assert out["session"] == "s-7m2x9qkd" and out["address"] == "s-7m2x9qkd.dvm" and out["ssh"] == "dvm ssh s-7m2x9qkd"
    body = server.seen("POST /v1/sessions")[0][2]
    assert body.pop("ssh_key").startswith("ssh-ed25519 ")
    assert body == {"targets": ["patient"], "stacks": ["disk", "net"], "attach": ["console"], "lease_s": 5400}
    seen = server.seen("GET /v1/events?session=s-7m2x9qkd")
    assert [e[1]["Last-Event-ID"] for e in seen] == ["0", "7"]
    assert re.search(r"0\.000 s +requested\n +4\.000 s +ready\n", r.stderr)
    # The key was made for dvm, because there was none.
    key = dvm.home / ".config/dvm/id_ed25519"
    assert key.stat().st_mode & 0o777 == 0o600


def test_debug_with_as_many_feeds_as_there_may_be(server, dvm):
    server.on("POST /v1/sessions", (201, dict(SESSION, state="requested")))
    server.on("GET /v1/events?session=s-7m2x9qkd", (429, problem("quota", "Too many feeds of events are open", "Close one.")))
    server.on("GET /v1/sessions/s-7m2x9qkd", (200, dict(SESSION, state="provisioning")), (200, SESSION))
    r = dvm("debug", "patient", "--json")
    assert r.returncode == 0 and json.loads(r.stdout)["session"] == "s-7m2x9qkd", r.stderr


def test_debug_says_why_it_failed(server, dvm):
    fault = {"code": "image-damaged", "message": "The image is damaged.", "hint": "Build it again."}
    server.on("POST /v1/sessions", (201, dict(SESSION, state="requested")))
    server.on("GET /v1/sessions/s-7m2x9qkd", (200, dict(SESSION, state="failed", fault=fault)))
    server.on("GET /v1/events?session=s-7m2x9qkd", (200, b""))
    r = dvm("debug", "patient")
    assert r.returncode == 7 and r.stderr.endswith("dvm: The image is damaged.\nhint: Build it again.\n")


def test_disk(server, dvm):
    a = {"id": "a-4n8r2c6b", "vm": "v-3k9w5t1z", "kind": "disk", "mode": "rw", "state": "wanted",
         "devices": [], "created": "2026-11-23T09:13:00.123Z", "fault": None}
    attached = dict(a, state="attached", devices=["t0-vda"])
    base = "/v1/sessions/s-7m2x9qkd/attachments"
    server.on("GET /v1/sessions/s-7m2x9qkd", (200, SESSION))
    server.on(f"POST {base}", (202, a))
    server.on(f"GET {base}/a-4n8r2c6b", (200, a), (200, attached))
    r = dvm("disk", "attach", "s-7m2x9qkd", "--rw")
    assert r.returncode == 0 and "t0-vda, under /dev/target/patient" in r.stdout
    assert server.seen(f"POST {base}")[0][2] == {"kind": "disk", "mode": "rw"}

    server.on("GET /v1/sessions/s-7m2x9qkd", (200, dict(SESSION, attachments=[dict(a, id="a-old", state="gone"), attached])))
    server.on(f"DELETE {base}/a-4n8r2c6b", (200, dict(a, state="gone")))
    assert dvm("disk", "list", "s-7m2x9qkd").stdout.splitlines()[2].split()[1] == "patient"
    assert dvm("disk", "detach", "root@s-7m2x9qkd.dvm", "patient").stdout == "patient has its disk back\n"
    assert dvm("disk", "detach", "s-7m2x9qkd", "other").returncode == 5

    fault = {"code": "vm-running", "message": "The VM runs.", "hint": "Stop it."}
    server.on(f"POST {base}", (202, dict(a, state="gone", fault=fault)))
    r = dvm("disk", "attach", "s-7m2x9qkd")
    assert r.returncode == 5 and r.stderr == "dvm: The VM runs.\nhint: Stop it.\n"


def test_port(server, dvm):
    a = {"id": "a-4n8r2c6b", "vm": "v-3k9w5t1z", "kind": "serial1", "mode": "rw", "state": "attached",
         "devices": ["ttyS1"], "created": "2026-11-23T09:13:00.123Z", "fault": None}
    base = "/v1/sessions/s-7m2x9qkd/attachments"
    server.on("GET /v1/sessions/s-7m2x9qkd", (200, SESSION))
    server.on(f"POST {base}", (201, a))
    r = dvm("port", "attach", "s-7m2x9qkd", "serial1")
    assert r.returncode == 0 and r.stdout == "serial1 of patient (rw) in the D-VM: /dev/target/patient/ttyS1\n"
    dvm("port", "attach", "s-7m2x9qkd", "parallel0", "patient", "--read-only")
    assert [s[2] for s in server.seen(f"POST {base}")] == [
        {"kind": "serial1", "mode": "rw"}, {"kind": "parallel0", "mode": "ro", "vm": "patient"}]

    disk = dict(a, id="a-disk", kind="disk", devices=["t0-vda"])
    server.on("GET /v1/sessions/s-7m2x9qkd", (200, dict(SESSION, attachments=[disk, a])))
    server.on(f"DELETE {base}/a-4n8r2c6b", (200, dict(a, state="gone")))
    assert [line.split()[2] for line in dvm("port", "list", "s-7m2x9qkd").stdout.splitlines()[1:]] == ["serial1"]
    assert dvm("port", "detach", "s-7m2x9qkd", "serial1").stdout == "serial1 of patient is no longer in the D-VM\n"
    r = dvm("port", "detach", "s-7m2x9qkd", "serial0", "patient")
    assert r.returncode == 5 and "no serial0 of patient is attached" in r.stderr
    assert dvm("port", "attach", "s-7m2x9qkd").returncode == 2
    words = dvm("complete", "--", "port", "attach", "s-7m2x9qkd", "").stdout.split()
    assert words == ["serial0", "serial1", "serial2", "serial3", "parallel0"]


def test_events(server, dvm):
    event = {"id": 41, "at": "2026-11-23T09:13:00.123Z", "type": "session.state", "project": "demo",
             "session": "s-7m2x9qkd", "vm": None, "data": {"to": "ready"}}
    first = f": hi\n\nid: 41\nevent: session.state\ndata: {json.dumps(event)}\n\n".encode()
    server.on("GET /v1/events", (200, first), (200, first))
    r = dvm("events", "--count", "2")
    assert r.returncode == 0 and r.stdout.count("s-7m2x9qkd            ready\n") == 2
    # It came back where it was.
    assert [s[1].get("Last-Event-ID") for s in server.seen("GET /v1/events")] == [None, "41"]


def test_record(server, dvm):
    cast = b'{"version": 2, "width": 80, "height": 24}\n[0.1, "o", "hello\\r\\n"]\n[9.0, "o", "login: "]\n[9'
    base = "/v1/sessions/s-7m2x9qkd/recordings"
    server.on(f"GET {base}", (200, {"items": [{"name": "patient", "size_bytes": 90, "format": "asciicast-v2"}]}))
    server.on(f"GET {base}/patient", (200, cast))
    assert dvm("record", "get", "s-7m2x9qkd").stdout.encode() == cast
    assert dvm("record", "play", "s-7m2x9qkd", "--speed", "0").stdout == "hello\nlogin: "


def test_record_of_a_vm(server, dvm):
    cast = b'{"version": 2, "width": 80, "height": 24}\n[0.1, "o", "hello\\r\\n"]\n'
    base = "/v1/vms/patient/recordings"
    items = [{"name": f"00000{n}-20261127t200511z", "size_bytes": 60, "format": "asciicast-v2",
              "begun": "2026-11-27T20:05:11.000Z"} for n in (1, 2)]
    server.on(f"GET {base}", (200, {"items": items}))
    server.on(f"GET {base}/{items[1]['name']}", (200, cast))
    r = dvm("record", "list", "patient")
    assert r.stdout.count("-20261127t200511z") == 2 and "BEGUN" in r.stdout
    r = dvm("record", "get", "patient")
    assert r.returncode != 0 and "several recordings" in r.stderr and "dvm record list patient" in r.stderr
    assert dvm("record", "get", "patient", items[1]["name"]).stdout.encode() == cast
    assert dvm("record", "play", "patient", items[1]["name"], "--speed", "0").stdout == "hello\n"


def test_console_history(server, dvm):
    vm = {"id": "v-1", "name": "patient", "project": "default", "console_history": "none"}
    server.on("PUT /v1/vms/patient/settings", (200, vm))
    server.on("POST /v1/vms", (201, vm))
    assert dvm("vm", "set", "patient", "--console-history", "none").stdout == "patient: console history none\n"
    assert server.seen("PUT /v1/vms/patient/settings")[0][2] == {"console_history": "none"}
    for bad in ((), ("--console-history", "some")):
        r = dvm("vm", "set", "patient", *bad)
        assert r.returncode != 0 and "kept or none" in r.stderr
    assert dvm("vm", "adopt", "patient", "--no-console-history").returncode == 0
    assert server.seen("POST /v1/vms")[0][2] == {"domain": "patient", "console_history": "none"}


def test_ssh_config(server, dvm):
    server.on("GET /v1/sessions/s-7m2x9qkd", (200, SESSION))
    ssh_dir = dvm.home / ".ssh"
    ssh_dir.mkdir()
    (ssh_dir / "config").write_text("Host other\n\tPort 7\n")
    assert dvm("ssh-config", "--install").returncode == 0
    assert dvm("ssh-config", "--install").returncode == 0
    text = (ssh_dir / "config").read_text()
    assert text.startswith("Include ") and text.count("Include") == 1 and text.endswith("Host other\n\tPort 7\n")
    out = subprocess.run(["ssh", "-G", "-F", ssh_dir / "config", "root@s-7m2x9qkd.dvm"], env=dvm.env, text=True,
                         capture_output=True, check=True).stdout
    assert f"proxycommand '{DVM}' proxy %h" in out
    assert "stricthostkeychecking true" in out and "userknownhostsfile /dev/null" in out
    assert dvm("known-hosts", "s-7m2x9qkd.dvm").stdout == f"s-7m2x9qkd.dvm {SESSION['host_key']}\n"


def test_known_hosts_need_not_ask_for_the_key_that_ssh_passed_on(server, dvm):
    env = {**dvm.env, "DVM_HOST_KEY": "s-7m2x9qkd.dvm ssh-ed25519 PASSED"}
    assert dvm("known-hosts", "s-7m2x9qkd.dvm", env=env).stdout == "s-7m2x9qkd.dvm ssh-ed25519 PASSED\n"
    server.on("GET /v1/sessions/s-7m2x9qkd", (200, SESSION))
    assert dvm("known-hosts", "s-7m2x9qkd", env=env).stdout == f"s-7m2x9qkd {SESSION['host_key']}\n"


def test_ssh_passes_the_command_on(server, dvm):
    server.on("GET /v1/sessions/s-7m2x9qkd", (200, SESSION))
    fake = dvm.home / "bin"
    fake.mkdir()
    (fake / "ssh").write_text('#!/bin/sh\nprintf "%s\\n" "$DVM_HOST_KEY" "$@"\nexit 42\n')
    (fake / "ssh").chmod(0o755)
    env = {**dvm.env, "PATH": f"{fake}:{dvm.env['PATH']}"}
    for args in (("--", "ls", "-l"), ("ls", "-l")):
        r = dvm("ssh", "-o", "LogLevel=ERROR", "s-7m2x9qkd", *args, env=env)
        assert r.returncode == 42
        assert r.stdout.splitlines()[-4:] == ["--", "s-7m2x9qkd.dvm", "ls", "-l"]
        assert "LogLevel=ERROR" in r.stdout.splitlines()
        assert r.stdout.splitlines()[0] == f"s-7m2x9qkd.dvm {SESSION['host_key']}"
    server.on("GET /v1/sessions/s-7m2x9qkd", (200, dict(SESSION, state="attaching", host_key=None)))
    assert dvm("ssh", "s-7m2x9qkd", env=env).returncode == 6


def test_every_command_has_help_and_a_place_in_the_manual(dvm):
    names = commands(dvm)
    assert len(names) > 35
    manual = dvm("help", "--man").stdout
    for name in names:
        r = dvm(*name.split(), "--help")
        assert r.returncode == 0 and r.stdout.startswith(f"usage: dvm {name}"), name
        section = manual.split(f'.SS "dvm {name}'.replace("-", "\\-"), 1)[1].split(".SS")[0]
        for option in re.findall(r"--([a-z-]+)", r.stdout.split("options:")[1]):
            if option != "help":
                assert f"\\-\\-{option}".replace("-", "\\-").replace("\\\\-", "\\-") in section, (name, option)
    r = subprocess.run(["man", "-l", "--warnings", "-"], input=manual, text=True, capture_output=True, check=False)
    assert (r.returncode, r.stderr) == (0, "")


@pytest.mark.parametrize("page", sorted((TREE / "man").glob("*.8")), ids=lambda p: p.name)
def test_manual_pages_are_well_formed(page):
    r = subprocess.run(["man", "-l", "--warnings", page], text=True, capture_output=True, check=False)
    assert (r.returncode, r.stderr) == (0, "")


def complete(dvm, *words):
    """What bash offers for the last word."""
    script = (f"PATH={DVM.parent}:$PATH; . {TREE}/completion/dvm.bash; COMP_WORDS=(dvm \"$@\"); COMP_CWORD=$#; "
              "compopt() { :; }; _dvm; printf '%s\\n' \"${COMPREPLY[@]}\"")
    r = subprocess.run(["bash", "-c", script, "-", *words], env=dvm.env, text=True, capture_output=True, check=True)
    return r.stdout.split()


def test_completion(server, dvm):
    server.on("GET /v1/vms?limit=200", (200, {"items": [{"name": "patient"}, {"name": "other"}], "next": None}))
    server.on("GET /v1/sessions?limit=200", (200, {"items": [SESSION], "next": None}))
    firsts = complete(dvm, "")
    assert set(firsts) == {n.split()[0] for n in commands(dvm)} and len(firsts) == len(set(firsts))
    assert complete(dvm, "session", "") == ["list", "show", "timeline", "renew", "end"]
    assert complete(dvm, "session", "e") == ["end"]
    assert complete(dvm, "debug", "") == ["patient", "other"]
    assert complete(dvm, "debug", "patient", "o") == ["other"]
    assert complete(dvm, "debug", "--st") == ["--stack"]
    assert complete(dvm, "power", "re") == ["reboot", "reset", "resume"]
    assert complete(dvm, "power", "off", "pa") == ["patient"]
    assert complete(dvm, "audit", "--session", "") == ["s-7m2x9qkd"]
    assert complete(dvm, "ssh", "") == ["s-7m2x9qkd"]


def test_wrong_use(dvm):
    for args in ((), ("vm",), ("nothing",), ("vm", "show"), ("vm", "show", "a", "b"), ("vm", "list", "--wrong"),
                 ("power", "explode", "x"), ("session", "show", "x"), ("debug", "x", "--lease", "soon")):
        r = dvm(*args)
        assert (r.returncode, r.stdout) == (2, ""), args
        assert r.stderr
