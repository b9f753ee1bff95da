# SPDX-License-Identifier: Apache-2.0
"""The SSH door with OpenSSH's own sshd and client on the fake hypervisor: what works, and that nothing else does."""
import contextlib
import json
import os
import pathlib
import pwd
import socket
import struct
import subprocess
import sys

import pytest

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "lib")]
import doortest  # noqa: E402
import dvmtest  # noqa: E402
import hosttest  # noqa: E402
from rpc import Fault, Peer  # noqa: E402
from terminal import Terminal  # noqa: E402

DEBUG = "view,type,debug,disk-read,disk-write,power"
LOOKUP = pwd.getpwnam("sshd").pw_uid


@pytest.fixture(scope="module")
def stage():
    with doortest.account() as folder:
        yield folder


@pytest.fixture(scope="module")
def cloud(stage, tmp_path_factory):
    """Alice's VM web-1 and Bob's web-2, each in a project of its own; D-VMs answer SSH with a real sshd."""
    inner = tmp_path_factory.mktemp("dvm-sshd")
    dvmtest.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", inner / "host_key")
    (inner / "config").write_text(
        f"HostKey {inner}/host_key\nAuthorizedKeysFile {inner}/authorized_keys\nPermitRootLogin yes\nStrictModes no\n"
        "PasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\nPidFile none\n")
    up = dvmtest.Cloud(uri="fake:", stage=stage, options=("--ssh-port", "0"))
    hosttest.image_make(up.state / "images")
    with up:
        fake = Peer(up.state / "run/fakevirt.sock")
        fake.call("script.agent", ssh_exec=f"/usr/sbin/sshd -i -f {inner}/config")
        for name, project, user in (("web-1", "red", "alice"), ("web-2", "blue", "bob")):
            fake.call("script.define", name=name, state="off", disks=[{"dev": "vda"}], boot=[f"{name} boots"])
            up.dvm("user", "create", user)
            up.dvm("project", "create", project)
            up.dvm("project", "member", project, user, *DEBUG.split(","))
            up.dvm("vm", "adopt", name, "--project", project)
            up.dvm("power", "on", name)
        up.fake, up.authorized_keys = fake, inner / "authorized_keys"
        yield up
        for session in up.json("session", "list"):
            up.dvm("session", "end", session["id"])
        fake.close()


def person(cloud, user, *rights):
    p = doortest.User(cloud)
    more = ["--rights", ",".join(rights)] if rights else []
    p.key_id = cloud.json("key", "add", p.public(), "--user", user, *more)["id"]
    return p


@pytest.fixture(scope="module")
def alice(cloud):
    return person(cloud, "alice")


@pytest.fixture(scope="module")
def bob(cloud):
    return person(cloud, "bob")


@pytest.fixture(scope="module")
def session(cloud, alice):
    made = alice.ssh("debug", "web-1", "--stack=disk")
    cloud.authorized_keys.write_text(alice.public().read_text())
    cloud.debug_said = made
    return made.stdout.strip()


def logins(cloud):
    """What serves logins now."""
    found = dvmtest.run("ps", "-eo", "pid,args", check=True).stdout.splitlines()
    return [line for line in found if "dvm-door serve" in line or "sshd: dvm" in line]


def no_login_left(cloud):
    dvmtest.wait_for(lambda: not logins(cloud), "all logins to end", seconds=20)


def typed(cloud):
    """At web-1's console, since it was started."""
    try:
        return cloud.fake.call("script.input", domain="web-1")["text"]
    except Fault as fault:
        assert fault.code == "bad-value"  # nothing yet
        return ""


# ---- what works


def test_the_list_is_what_is_his(cloud, alice, bob):
    out = alice.ssh().stdout
    assert "web-1" in out and "web-2" not in out and "Your sessions:" in out and "console VM" in out
    assert alice.ssh("list").stdout.startswith("Your VMs:")
    assert "web-2" in bob.ssh().stdout and "web-1" not in bob.ssh().stdout
    term = Terminal(alice.argv(), alice.env)  # OpenSSH asks for a terminal by itself here
    assert term.end() == 0 and b"web-1" in term.out


def test_help(alice):
    assert "ProxyCommand ssh GATE proxy %h" in alice.ssh("help").stdout


def test_the_console_with_typing(cloud, alice):
    term = Terminal(alice.argv("console", "web-1", options=("-t", "-e", "none")), alice.env)
    term.wait(b"web-1 boots")
    term.type(b"root\r")
    dvmtest.wait_for(lambda: "root" in typed(cloud), "what was typed")
    cloud.fake.call("script.print", domain="web-1", text="so it goes on\r\n")
    term.wait(b"so it goes on")
    # the files at this end of the login are the gate's: nothing reads them
    term.type(b"\r~P/etc/passwd\r")
    dvmtest.wait_for(lambda: "~P/etc/passwd" in typed(cloud), "that it was typed, and nothing more")
    term.type(b"\r~.")
    assert term.end() == 0 and b"left the console" in term.out and b"file to paste" not in term.out
    assert "root:" not in typed(cloud)
    no_login_left(cloud)


def test_the_console_to_watch_only(cloud, alice):
    before = typed(cloud)
    term = Terminal(alice.argv("console", "web-1", "--read-only", options=("-t", "-e", "none")), alice.env)
    term.wait(b"web-1 boots")
    term.type(b"never\r~.")
    assert term.end() == 0
    assert typed(cloud) == before


def test_taking_the_console_over(cloud, alice, bob):
    first = Terminal(alice.argv("console", "web-1", options=("-t", "-e", "none")), alice.env)
    first.wait(b"web-1 boots")
    second = Terminal(alice.argv("console", "--take", "web-1", options=("-t", "-e", "none")), alice.env)
    first.wait(b"you can no longer type")
    for term in (first, second):
        term.type(b"\r~.")
        assert term.end() == 0
    no_login_left(cloud)


def test_a_session_and_how_to_log_in(cloud, alice, session):
    assert session.startswith("s-")
    said = cloud.debug_said.stderr
    assert "ready" in said and f'ssh -o ProxyCommand="ssh GATE proxy %h" root@{session}.dvm' in said
    assert cloud.json("session", "show", session)["owner"] == "alice"
    assert session in alice.ssh().stdout
    host_key = cloud.json("session", "show", session)["host_key"]
    assert alice.ssh("known-hosts", f"{session}.dvm").stdout == f"{session}.dvm {host_key}\n"


def test_ssh_to_the_dvm_through_the_door(cloud, alice, session, tmp_path):
    options = ("-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={tmp_path}/known", "-o", "LogLevel=ERROR")
    assert alice.inner(session, "echo $((6*7)); exit 3", options=options, check=False).returncode == 3
    data = os.urandom(1 << 20)
    argv = alice.inner_argv(session, "cat", options=options)
    assert subprocess.run(argv, input=data, env=alice.env, capture_output=True, timeout=90, check=True).stdout == data
    # Forwarding is the inner connection's, and there it works.
    with socket.socket() as there, socket.socket() as free:
        there.bind(("127.0.0.1", 0))
        there.listen()
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        forward = f"127.0.0.1:{port}:127.0.0.1:{there.getsockname()[1]}"
        ssh = subprocess.Popen(alice.inner_argv(session, "cat", options=(*options, "-L", forward)), env=alice.env,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        ssh.stdin.write(b"x")
        ssh.stdin.flush()
        assert ssh.stdout.read(1) == b"x"
        with socket.create_connection(("127.0.0.1", port)) as near:
            far = there.accept()[0]
            far.sendall(b"RFB 003.008\n")
            assert near.recv(12) == b"RFB 003.008\n"
            far.close()
        ssh.stdin.close()
        assert ssh.wait(60) == 0
    no_login_left(cloud)


def test_power(cloud, alice):
    assert alice.ssh("power", "pause", "web-1", "--wait").stdout == "web-1: paused\n"
    assert alice.ssh("power", "resume", "web-1", "-w").stdout == "web-1: running\n"
    refused = alice.ssh("power", "explode", "web-1", check=False)
    assert refused.returncode == 2 and "not an action" in refused.stderr


def test_a_session_ends(cloud, alice, session):
    assert alice.ssh("end", session).stdout == f"{session} is ended\n"


# ---- what does not


def test_other_commands_are_refused(alice):
    """tests/unit/test_door_command.c has more of them; these go the whole way."""
    for words in (("sh",), ("/bin/sh", "-i"), ("scp", "-t", "/"), ("list;id",), ("list\nid",), ("$(id)",), ("console", "web-1", ">x"),
                  ("debug", "web-1", "--key", "/etc/passwd"), ("token", "create"), ("list", "--json"), ("help\x01",), ("l" * 5000,),
                  ("l" * 100000,), ("\xff\xfe",), ("internal-sftp",)):
        r = alice.ssh(*words, check=False)
        assert r.returncode == 2 and r.stdout == "" and "dvm:" in r.stderr, (words, r.returncode, r.stdout, r.stderr)


def test_a_terminal_is_for_the_console_only(alice):
    for words in (("help",), ("power", "pause", "web-1"), ("debug", "web-1")):
        term = Terminal(alice.argv(*words, options=("-t",)), alice.env)
        assert term.end() == 2 and b"Only the console takes a terminal" in term.out


def test_no_forwarding_on_the_way_in(cloud, alice, tmp_path):
    """-L, -D, -W, -R, of ports and of sockets: what is connected to through them is never reached."""
    with socket.socket() as target:
        target.bind(("127.0.0.1", 0))
        target.listen()
        target.settimeout(1)
        port = target.getsockname()[1]
        refused = alice.ssh(options=("-W", f"127.0.0.1:{port}"), check=False, input="x")
        assert refused.returncode != 0 and "administratively prohibited" in refused.stderr
        refused = alice.ssh(options=("-W", "s-00000000000.dvm:22"), check=False, input="x")
        assert refused.returncode != 0 and "administratively prohibited" in refused.stderr
        refused = alice.ssh("help", options=("-R", "0:127.0.0.1:22", "-o", "ExitOnForwardFailure=yes"), check=False)
        assert refused.returncode == 255 and "remote port forwarding failed" in refused.stderr
        refused = alice.ssh("help", options=("-R", f"{tmp_path}/there:127.0.0.1:22", "-o", "ExitOnForwardFailure=yes"), check=False)
        assert refused.returncode == 255
        for forward in (("-L", f"{tmp_path}/l:127.0.0.1:{port}"), ("-L", f"{tmp_path}/s:{cloud.state}/run/api.sock")):
            ssh = subprocess.Popen(alice.argv("console", "web-1", "-r", options=forward), env=alice.env, stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            assert ssh.stdout.read(1)
            with socket.socket(socket.AF_UNIX) as near:
                near.connect(forward[1].split(":")[0])
                near.settimeout(30)
                assert near.recv(1) == b""
            ssh.kill()
            assert b"open failed" in ssh.communicate()[1]
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            socks = free.getsockname()[1]
        ssh = subprocess.Popen(alice.argv("console", "web-1", "-r", options=("-D", str(socks))), env=alice.env, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert ssh.stdout.read(1)
        with socket.create_connection(("127.0.0.1", socks)) as near:
            near.settimeout(30)
            near.sendall(b"\x05\x01\x00")
            assert near.recv(2) == b"\x05\x00"
            near.sendall(b"\x05\x01\x00\x01\x7f\x00\x00\x01" + port.to_bytes(2, "big"))
            while near.recv(64):
                pass
        ssh.kill()
        assert b"administratively prohibited" in ssh.communicate()[1]
        with pytest.raises(TimeoutError):
            target.accept()
    no_login_left(cloud)


def environment():
    """Of the one login there is."""
    ps = dvmtest.run("ps", "-U", str(doortest.UID), "-o", "pid=,args=").stdout.splitlines()
    pid = [line.split()[0] for line in ps if "dvm-door serve" in line]
    assert len(pid) == 1, ps
    return dict(v.split("=", 1) for v in pathlib.Path(f"/proc/{pid[0]}/environ").read_text().split("\0") if v)


def test_no_agent_no_x11_no_tunnel_no_environment(cloud, alice, tmp_path):
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(tmp_path / "agent")], stdout=subprocess.DEVNULL)
    asks = dict(alice.env, SSH_AUTH_SOCK=str(tmp_path / "agent"), DISPLAY=":9", LC_EVIL="1", DVM_URL="https://192.0.2.1")
    try:
        dvmtest.wait_for((tmp_path / "agent").exists, "the agent")
        options = ("-v", "-A", "-Y", "-o", "SendEnv=LC_EVIL DVM_URL", "-o", "SetEnv=LD_PRELOAD=/x")
        ssh = subprocess.Popen(alice.argv("console", "web-1", "-r", options=options), env=asks, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert ssh.stdout.read(1)
        seen = environment()
        ssh.kill()
        said = ssh.communicate()[1]
    finally:
        agent.terminate()
        agent.wait()
    assert b"Requesting authentication agent forwarding" in said and b"LC_EVIL" in said  # it was asked for
    assert not {"SSH_AUTH_SOCK", "DISPLAY", "LC_EVIL", "DVM_URL", "LD_PRELOAD", "SSH_TTY"} & set(seen)
    assert seen["SSH_ORIGINAL_COMMAND"] == "console web-1 -r"
    r = alice.ssh("help", options=("-w", "any:any", "-o", "Tunnel=point-to-point", "-o", "ExitOnForwardFailure=yes"), check=False)
    assert r.returncode == 255
    no_login_left(cloud)


def test_no_subsystem(alice):
    for name in ("sftp", "netconf", "list"):
        r = alice.ssh(name, options=("-s",), check=False)
        assert r.returncode != 0 and r.stdout == "" and "subsystem request failed" in r.stderr
    r = dvmtest.run("sftp", *[o if o != "-p" else "-P" for o in alice.options], alice.gate, env=alice.env, check=False)
    assert r.returncode != 0


def test_a_second_command_on_one_connection_is_refused(cloud, alice, tmp_path):
    master = subprocess.Popen(alice.argv("console", "web-1", "-r", options=("-M", "-S", str(tmp_path / "mux"))), env=alice.env,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert master.stdout.read(1)
        mux = alice.ssh("help", options=("-S", str(tmp_path / "mux"), "-o", "ControlMaster=no", "-v"), check=False)
        assert "Session open refused by peer" in mux.stderr
    finally:
        master.kill()
        master.communicate()
    no_login_left(cloud)


def test_another_tenants_things_do_not_exist(cloud, alice, bob):
    for words in (("console", "web-1"), ("debug", "web-1"), ("power", "off", "web-1"), ("end", "s-000000000000"),
                  ("proxy", "s-000000000000"), ("known-hosts", "s-000000000000")):
        r = bob.ssh(*words, check=False)
        assert r.returncode == 4 and r.stdout == "", (words, r.stdout, r.stderr)
        for canary in (str(cloud.state), "127.0.0.1", socket.gethostname(), "/usr/", "/run/"):
            assert canary not in r.stderr
    assert cloud.json("vm", "show", "web-1")["state"] == "running"


def test_a_key_that_lets_only_view(cloud):
    viewer = person(cloud, "alice", "view")
    try:
        assert "web-1" in viewer.ssh().stdout
        for words in (("debug", "web-1"), ("power", "off", "web-1")):
            r = viewer.ssh(*words, check=False)
            assert r.returncode == 3 and "right" in r.stderr, r.stderr
    finally:
        cloud.dvm("key", "remove", viewer.key_id)


# ---- who


def test_whose_key_is_on_record_for_nobody(cloud):
    stranger = doortest.User(cloud)
    r = stranger.ssh(check=False)
    assert r.returncode == 255 and "Permission denied (publickey)" in r.stderr


def test_no_other_account_and_no_password(cloud, alice):
    for account in ("root", "nobody", "alice", "sshd"):
        r = dvmtest.run("ssh", *alice.options, f"{account}@127.0.0.1", env=alice.env, check=False)
        assert r.returncode == 255 and "Permission denied (publickey)" in r.stderr


def test_a_removed_key_lets_nobody_in_and_ends_its_logins(cloud):
    someone = person(cloud, "alice")
    term = Terminal(someone.argv("console", "web-1", "-r", options=("-t",)), someone.env)
    term.wait(b"web-1 boots")
    cloud.dvm("key", "remove", someone.key_id)
    assert term.end() == 3 and b"This login is over" in term.out
    r = someone.ssh(check=False)
    assert r.returncode == 255 and "Permission denied (publickey)" in r.stderr
    no_login_left(cloud)


def test_logins_are_on_record_and_their_tokens_are_gone(cloud, alice):
    before = [r for r in cloud.json("audit") if r["action"] == "door.login"]
    alice.ssh("help")
    after = [r for r in cloud.json("audit") if r["action"] == "door.login"]
    assert len(after) == len(before) + 1
    assert after[-1]["object"] == alice.key_id
    assert "ssh" not in [t["name"] for t in cloud.json("token", "list")]
    assert [k for k in cloud.json("key", "list") if k["id"] == alice.key_id][0]["last_used"]


def test_a_login_goes_on_while_dvmd_is_away(cloud, alice):
    term = Terminal(alice.argv("console", "web-1", "-r", options=("-t", "-e", "none")), alice.env)
    term.wait(b"web-1 boots")
    cloud.kill("dvmd")
    dvmtest.wait_for(lambda: cloud.dvm("whoami", check=False).returncode == 0, "dvm to answer")
    cloud.fake.call("script.print", domain="web-1", text="still here\r\n")
    term.wait(b"still here")
    assert "web-1" in alice.ssh().stdout  # and new ones come in
    # The login is known to the new dvmd: it ends with its key as any other.
    term.type(b"\r~.")
    assert term.end() == 0


class SlowDvmd:
    """dvmd as a login sees it; it answers when it is told to."""

    def __init__(self, folder):
        self.path = folder / "door.sock"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        self.listener.listen()
        self.listener.settimeout(60)

    def accept(self):
        self.conn, _ = self.listener.accept()
        self.conn.settimeout(60)
        self.stream = self.conn.makefile("rb")
        self.answer(self.call("hello"), {"protocol": 1, "program": "dvmd"})

    def call(self, method):
        head = self.stream.read(4)
        assert len(head) == 4, f"the login hung up instead of saying {method}"
        message = json.loads(self.stream.read(struct.unpack(">I", head)[0]))
        assert message["method"] == method
        return message["id"]

    def answer(self, id, result):
        body = json.dumps({"id": id, "result": result}).encode()
        self.conn.sendall(struct.pack(">I", len(body)) + body)

    def close(self):
        self.stream.close()
        self.conn.close()


def test_a_login_goes_on_with_a_dvmd_that_takes_its_time(tmp_path):
    """Its token lives by the connection: who hangs up because an answer is late ends his own login."""
    dvmd = SlowDvmd(tmp_path)
    (tmp_path / "dvm").write_text("#!/bin/sh\necho runs\nexec sleep 600\n")
    (tmp_path / "dvm").chmod(0o755)
    argv = [dvmtest.STAGE / "lib/dvm/dvm-door", "serve", dvmd.path, tmp_path / "dvm", "https://127.0.0.1:1", "pin", "ticket"]
    env = dict(os.environ, SSH_ORIGINAL_COMMAND="console web-1")
    with subprocess.Popen(argv, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as serve:
        try:
            dvmd.accept()
            dvmd.answer(dvmd.call("door.login"), {"token": "dvm_x"})
            assert serve.stdout.readline() == b"runs\n"
            dvmd.close()  # it is started anew
            dvmd.accept()
            late = dvmd.call("door.hold")
            again = dvmd.call("door.hold")  # the first had no answer
            assert again > late
            dvmd.answer(late, {})
            dvmd.answer(again, {})
            dvmd.close()  # what came late was read over, and the login is still his
            dvmd.accept()
            dvmd.answer(dvmd.call("door.hold"), {})
            assert serve.poll() is None
        finally:
            serve.terminate()
            dvmd.close()
            dvmd.listener.close()


def test_who_hangs_up_leaves_nothing(cloud, alice):
    ssh = subprocess.Popen(alice.argv("console", "web-1"), env=alice.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert ssh.stdout.read(1)
    ssh.kill()
    ssh.wait()
    ssh.stdin.close()
    ssh.stdout.close()
    no_login_left(cloud)


def test_the_door_is_killed(cloud, alice):
    ssh = subprocess.Popen(alice.argv("console", "web-1", "-r"), env=alice.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert ssh.stdout.read(1)
    old = cloud.kill("dvm-door")
    assert "web-1" in alice.ssh().stdout  # the socket is the supervisor's: nobody is refused
    assert cloud.pid("dvm-door") != old
    ssh.stdout.read()
    assert ssh.wait(30) == 255
    no_login_left(cloud)


# ---- the door's socket


@contextlib.contextmanager
def door(uid, cloud):
    """A connection to door.sock of that user; None: it was hung up on."""
    os.seteuid(uid)
    try:
        peer = Peer(cloud.state / "run/door.sock", hello=False)
    finally:
        os.seteuid(0)
    try:
        with contextlib.suppress(Exception):
            peer.call("hello", protocol=1, program="test")
            yield peer
            return
        yield None
    finally:
        peer.close()


def code(peer, method, **params):
    """How a call is refused."""
    with pytest.raises(Fault) as refused:
        peer.call(method, **params)
    return refused.value.code


def look_up(cloud, user):
    kind, key = user.public().read_text().split()[:2]
    with door(LOOKUP, cloud) as peer:
        return peer.call("door.key", type=kind, key=key)["ticket"]


def test_only_sshd_looks_up_and_only_logins_log_in(cloud, alice):
    kind, key = alice.public().read_text().split()[:2]
    ticket = look_up(cloud, alice)
    with door(4444, cloud) as peer:
        assert peer is None
    with door(LOOKUP, cloud) as peer:
        assert code(peer, "door.login", ticket=ticket) == "not-supported"
        assert [code(peer, "door.key", type=kind, key=k) for k in ("AAAA", "x y", "")] == ["bad-value", "bad-request", "bad-value"]
        assert code(peer, "door.key") == "bad-request"
        other = doortest.User(cloud).public().read_text().split()
        assert code(peer, "door.key", type=other[0], key=other[1]) == "not-found"
    with door(doortest.UID, cloud) as peer:
        assert code(peer, "door.key", type=kind, key=key) == "not-supported"
        broken = ticket[:-1] + ("A" if ticket[-1] != "A" else "B")
        assert {code(peer, "door.login", ticket=t) for t in (broken, "", "x" * 4000, alice.key_id)} == {"ticket-invalid"}
        token = peer.call("door.login", ticket=ticket)["token"]
        assert code(peer, "door.login", ticket=look_up(cloud, alice)) == "conflict"
        assert peer.call("door.hold", token=token) == {}
    # The ticket is used up, and the token goes with its connection.
    with door(doortest.UID, cloud) as peer:
        assert code(peer, "door.login", ticket=ticket) == "ticket-invalid"
        dvmtest.wait_for(lambda: whoami(cloud, token) == 3, "the token to end")
        assert code(peer, "door.hold", token=token) == "unauthenticated"
        admin = cloud.env["DVM_TOKEN"]
        assert code(peer, "door.hold", token=admin) == "unauthenticated"


def whoami(cloud, token, *words):
    return dvmtest.run(cloud.program, *(words or ("whoami",)), env=dict(cloud.env, DVM_TOKEN=token), check=False).returncode


def test_a_logins_token_makes_nothing_that_outlives_it(cloud, alice):
    with door(doortest.UID, cloud) as peer:
        token = peer.call("door.login", ticket=look_up(cloud, alice))["token"]
        assert whoami(cloud, token) == 0
        assert whoami(cloud, token, "token", "create") == 3
        assert whoami(cloud, token, "key", "add", doortest.User(cloud).public()) == 3
    assert [k["id"] for k in cloud.json("key", "list") if k["user"] == "alice"] == [alice.key_id]


def test_nobody_takes_all_the_room(cloud, alice):
    """A user's logins are counted, and who asks for nothing is hung up on."""
    idle = subprocess.Popen(alice.argv(options=("-N",)), env=alice.env, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        bob = person(cloud, "bob")
        with contextlib.ExitStack() as stack:
            for _ in range(64):
                peer = stack.enter_context(door(doortest.UID, cloud))
                peer.call("door.login", ticket=look_up(cloud, alice))
            one_more = stack.enter_context(door(doortest.UID, cloud))
            assert code(one_more, "door.login", ticket=look_up(cloud, alice)) == "quota"
            r = alice.ssh(check=False)
            assert r.returncode != 0 and "logged in 64 times" in r.stderr and "hint: " in r.stderr
            assert "Your VMs:" in bob.ssh().stdout
        assert "Your VMs:" in alice.ssh().stdout
        assert idle.wait(60) == 255
    finally:
        idle.kill()
        idle.communicate()


def test_logins_cannot_look_into_each_other(cloud, alice):
    """All have one user on this machine, and tokens in their environment."""
    term = Terminal(alice.argv("console", "web-1", "-r", options=("-t", "-e", "none")), alice.env)
    term.wait(b"web-1 boots")
    ps = dvmtest.run("ps", "-U", str(doortest.UID), "-o", "pid=,args=").stdout.splitlines()
    pids = [line.split()[0] for line in ps if "dvm console" in line or "dvm-door serve" in line]
    assert len(pids) == 2, ps
    for pid in pids:
        r = dvmtest.run("setpriv", f"--reuid={doortest.UID}", f"--regid={doortest.UID}", "--clear-groups", "--", "cat",
                        f"/proc/{pid}/environ", check=False)
        assert r.returncode != 0 and r.stdout == "" and "Permission denied" in r.stderr
    term.type(b"\r~.")
    assert term.end() == 0


def test_up_says_how_to_come_in(cloud):
    assert cloud.env["DVM_SSH"].startswith("ssh://dvm@127.0.0.1:")
    assert cloud.env["DVM_SSH_HOST_KEY"].startswith("ssh-ed25519 ")
    before = cloud.env["DVM_SSH"], cloud.env["DVM_SSH_HOST_KEY"]
    cloud.up()
    assert (cloud.env["DVM_SSH"], cloud.env["DVM_SSH_HOST_KEY"]) == before


def test_without_the_account(cloud):
    other = dvmtest.Cloud(uri="fake:", config="[door]\naccount = nosuch\n")
    r = dvmtest.run(other.program, "up", "--detach", "--uri", "fake:", "--ssh-port", "0", "--state", other.state,
                    env=other.base_env(), check=False)
    assert r.returncode != 0 and 'no account "nosuch"' in r.stderr and "useradd --system" in r.stderr


# ---- down


def test_down_ends_logins_too(stage):
    up = dvmtest.Cloud(uri="fake:", stage=stage, options=("--ssh-port", "0"))
    with up:
        fake = Peer(up.state / "run/fakevirt.sock")
        fake.call("script.define", name="web-1", state="off", boot=["web-1 boots"])
        up.dvm("vm", "adopt", "web-1")
        up.dvm("power", "on", "web-1")
        admin = person(up, "admin")
        ssh = subprocess.Popen(admin.argv("console", "web-1", "-r"), env=admin.env, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert ssh.stdout.read(1)
        fake.close()
        up.down()
        assert ssh.wait(30) == 255
        assert not logins(up)
        up.assert_clean()


def test_as_an_ordinary_user(stage):
    """No root: sshd runs as the user himself, and he logs in with the name of his account."""
    home = doortest.FOLDER / "home"
    home.mkdir()
    os.chown(home, doortest.UID, doortest.UID)
    copy = home / "stage"  # his own files, in his own folder
    dvmtest.run("cp", "-a", stage, copy)
    dvmtest.run("chown", "-R", f"{doortest.UID}:{doortest.UID}", copy)

    def as_user(*argv, check=True):
        return dvmtest.run("setpriv", f"--reuid={doortest.UID}", f"--regid={doortest.UID}", "--clear-groups", "--", *argv,
                           env=env, check=check, cwd=home)

    env = {"HOME": str(home), "PATH": os.environ["PATH"], "DVM_LIBEXEC": str(copy / "lib/dvm"), "DVM_STATE": str(home / "state")}
    out = as_user(copy / "bin/dvm", "up", "--detach", "--uri", "fake:", "--ssh-port", "0").stdout
    try:
        for line in out.splitlines():
            key, _, value = line.removeprefix("export ").partition("=")
            env[key] = value.strip("'")

        class Up:
            pass

        Up.env = env
        user = doortest.User(Up)
        user.public().chmod(0o644)
        user.home.chmod(0o755)
        as_user(copy / "bin/dvm", "key", "add", user.public())
        assert user.gate == "dvm@127.0.0.1"
        assert "Your VMs:" in user.ssh().stdout
        assert user.ssh("id", check=False).returncode == 2
        fake = Peer(home / "state/run/fakevirt.sock")
        fake.call("script.define", name="web-1", state="off", boot=["web-1 boots"])
        fake.close()
        as_user(copy / "bin/dvm", "vm", "adopt", "web-1")
        as_user(copy / "bin/dvm", "power", "on", "web-1")
        term = Terminal(user.argv("console", "web-1", "-r", options=("-t", "-e", "none")), user.env)
        term.wait(b"web-1 boots")
        term.type(b"\r~.")
        assert term.end() == 0
    finally:
        as_user(copy / "bin/dvm", "down")
    assert not [p for p in (home / "state/run").rglob("*") if p.is_socket()]
    assert not logins(None)
