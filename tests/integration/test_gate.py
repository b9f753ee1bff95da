# SPDX-License-Identifier: Apache-2.0
"""dvm-gate between clients of the test's own and a dvmd and relays that the test plays."""
import asyncio
import base64
import contextlib
import hashlib
import json
import os
import pathlib
import select
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time

import pytest
import websockets

TREE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("DVM_BUILD", TREE / "build"))
GATE = BUILD / "src/gate/dvm-gate"
STREAM_PIPE = BUILD / "tests/integration/stream_pipe"
TUNNEL_ECHO = BUILD / "tests/integration/tunnel_echo"
GATE_UID = 61183
MIB = 1024 * 1024
SANITIZED = b"__asan_init" in GATE.read_bytes() if GATE.exists() else False


def wait_for(condition, what, seconds=20):
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"gave up waiting for {what}"
        time.sleep(0.02)
    return value


def unix_server(path, serve):
    """Serves each connection on `path` with serve(socket) in a thread of its own; returns the closing function."""
    listener = socket.socket(socket.AF_UNIX)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    listener.bind(str(path))
    os.chmod(path, 0o666)
    listener.listen(1100)
    open_sockets = []

    def one(conn):
        with contextlib.suppress(OSError), conn:
            serve(conn)

    def loop():
        while True:
            try:
                conn, _ = listener.accept()
            except OSError:
                return
            open_sockets.append(conn)
            threading.Thread(target=one, args=[conn], daemon=True).start()

    threading.Thread(target=loop, daemon=True).start()

    def close():
        for s in [listener, *open_sockets]:
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
            s.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)

    return close


def read_until(conn, end):
    data = b""
    while end not in data:
        more = conn.recv(65536)
        if not more:
            break
        data += more
    return data


class Dvmd:
    """Plays dvmd: the API's socket answers by path, tickets are what the test says."""

    def __init__(self, run):
        self.run, self.requests, self.tickets = run, [], {}
        self.slow_reader = threading.Event()
        self.start()

    def start(self):
        self.closers = [
            unix_server(self.run / "api.sock", self.api),
            unix_server(self.run / "ticket.sock", self.rpc),
        ]

    def stop(self):
        for close in self.closers:
            close()
        self.closers = []

    def api(self, conn):
        data = read_until(conn, b"\r\n\r\n")
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        fields = [line.split(": ", 1) for line in lines[1:]]
        length = int(dict((k.lower(), v) for k, v in fields).get("content-length", 0))
        path = lines[0].split(" ")[1]
        if path != "/early":
            while len(body) < length:
                body += conn.recv(65536)
        self.requests.append((lines[0], fields, body))
        start = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
        if path == "/echo":
            conn.sendall(start + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        elif path == "/large":
            conn.sendall(start + b"\r\n")
            for i in range(20):
                conn.sendall(bytes([i]) * MIB)
        elif path == "/events":
            conn.sendall(start + b"Content-Type: text/event-stream\r\n\r\n")
            for i in range(3):
                conn.sendall(b"data: %d\n\n" % i)
                self.slow_reader.wait(10)
                self.slow_reader.clear()
        elif path == "/early":
            conn.sendall(b"HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno")
        elif path == "/nothing":
            pass
        else:
            conn.sendall(start + b"Content-Length: 2\r\n\r\nok")

    def rpc(self, conn):
        def send(obj):
            body = json.dumps(obj).encode()
            conn.sendall(struct.pack(">I", len(body)) + body)

        while True:
            head = conn.recv(4, socket.MSG_WAITALL)
            if len(head) < 4:
                return
            call = json.loads(conn.recv(struct.unpack(">I", head)[0], socket.MSG_WAITALL))
            if call["method"] == "hello":
                assert call["params"] == {"protocol": 1, "program": "dvm-gate"}
                send({"id": call["id"], "result": {"protocol": 1, "program": "dvmd"}})
                continue
            assert call["method"] == "ticket.redeem"
            answer = self.tickets.pop(call["params"]["ticket"], None)
            if answer is None:
                fault = {"code": "ticket-invalid", "message": "No such ticket.", "hint": "Ask for another."}
                send({"id": call["id"], "fault": fault})
            elif answer != "silence":
                send({"id": call["id"], "result": answer})

    def ticket(self, name, raw=False):
        ticket = base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")
        # As dvmd spells it: absolute, whatever the gate's own way there is.
        self.tickets[ticket] = {"path": f"{self.run}/relay/{name}/stream.sock", "raw": raw}
        return ticket


class Gate:
    def __init__(self, folder, config=""):
        self.state = folder
        self.run = folder / "run"
        self.run.mkdir()
        self.run.chmod(0o711)
        (folder / "dvm.ini").write_text("[gate]\n" + config)
        (self.run / "relay").mkdir()
        (self.run / "relay").chmod(0o711)
        self.log = folder / "gate.log"
        self.closers, self.process = [], None
        self.dvmd = Dvmd(self.run)
        self.start()

    def start(self):
        env = dict(os.environ, DVM_LOG="debug")
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([GATE, "--state", self.state], stderr=log, env=env)
        notified = self.run / "gate.port"
        wait_for(lambda: notified.exists() and self.reachable(), "the gate")

    def reachable(self):
        assert self.process.poll() is None, self.log.read_text()
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port)).close()
            return True
        return False

    @property
    def port(self):
        return int((self.run / "gate.port").read_text())

    @property
    def pin(self):
        return (self.state / "tls/gate.pin").read_text().strip()

    def kill(self, number=signal.SIGKILL):
        self.process.send_signal(number)
        return self.process.wait(10)

    def close(self):
        self.dvmd.stop()
        for close in self.closers:
            close()
        if self.process.poll() is None:
            assert self.kill(signal.SIGTERM) == 0, self.log.read_text()
        text = self.log.read_text()
        assert "Sanitizer" not in text and "runtime error" not in text, text

    def relay_folder(self, name):
        folder = self.run / "relay" / name
        folder.mkdir()
        folder.chmod(0o711)
        return folder / "stream.sock"

    def relay(self, name, serve, line=b"OK raw\n"):
        """A relay whose stream is serve(socket), after the first line."""

        def first_line(conn):
            said = b""
            while not said.endswith(b"\n"):
                said += conn.recv(1)
            assert said.startswith(b"DVM1 ") and len(said) == 49
            conn.sendall(line)
            serve(conn)

        self.closers.append(unix_server(self.relay_folder(name), first_line))

    def context(self):
        return ssl.create_default_context(cafile=self.state / "tls/gate.crt")

    def connect(self, context=None):
        raw = socket.create_connection(("127.0.0.1", self.port))
        raw.settimeout(20)
        return (context or self.context()).wrap_socket(raw, server_hostname="localhost")

    def exchange(self, data):
        """Sends bytes, reads to the end."""
        with self.connect() as s:
            with contextlib.suppress(OSError):
                s.sendall(data)
            return read_all(s)

    def get(self, path, headers=""):
        return answer_of(self.exchange(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode()))

    def websocket(self, ticket, **kwargs):
        return websockets.connect(
            f"wss://localhost:{self.port}/v1/streams/{ticket}", ssl=self.context(), max_size=None, compression=None,
            **kwargs,
        )


def read_all(s):
    data = bytearray()
    with contextlib.suppress(ConnectionResetError):
        while more := s.recv(65536):
            data += more
    return bytes(data)


def answer_of(data):
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0].startswith("HTTP/1.1 "), data[:200]
    fields = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}
    return int(lines[0].split(" ")[1]), fields, body


def problem_of(answer, status, code):
    got, fields, body = answer
    assert got == status, body
    problem = json.loads(body)
    assert fields["content-type"] == "application/problem+json"
    assert fields["x-request-id"] and fields["connection"] == "close"
    assert int(fields["content-length"]) == len(body)
    assert set(problem) == {"type", "title", "status", "code", "detail", "hint"}
    assert all(problem.values()) and problem["status"] == status and problem["code"] == code
    return problem


@pytest.fixture
def folder():
    path = pathlib.Path(tempfile.mkdtemp(prefix="dvm-gate-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def gate(folder):
    gate = Gate(folder, "per-address = 2000\nconnections = 2000\n")
    yield gate
    gate.close()


# ---- what it is


def test_runs_without_rights(gate):
    # It listens before it gives up the right to, and reads nothing before it has.
    assert gate.get("/a")[0] == 200
    status = pathlib.Path(f"/proc/{gate.process.pid}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert fields["NoNewPrivs"] == "1"
    assert SANITIZED or fields["Seccomp"] == "2"
    if os.geteuid() == 0:
        assert set(fields["Uid"].split()) == {str(GATE_UID)} and set(fields["Gid"].split()) == {str(GATE_UID)}
        assert int(fields["CapEff"], 16) == int(fields["CapPrm"], 16) == 0
    assert oct((gate.state / "tls/gate.key").stat().st_mode & 0o777) == "0o600"


def test_pin_is_what_curl_wants(gate):
    url = f"https://127.0.0.1:{gate.port}/v1/vms"
    good = subprocess.run(["curl", "-sk", "--pinnedpubkey", gate.pin, url], capture_output=True)
    assert good.stdout == b"ok"
    wrong = subprocess.run(["curl", "-sk", "--pinnedpubkey", "sha256//" + "A" * 43 + "=", url], capture_output=True)
    assert wrong.returncode == 90


def test_one_gate_a_state_folder(gate):
    second = subprocess.run([GATE, "--state", gate.state], capture_output=True, text=True, timeout=10)
    assert second.returncode == 1 and "runs already" in second.stderr


def test_bad_configuration(folder):
    for text, hint in [("listen = localhost\n", "numeric"), ("wings = 2\n", "wings"), ("connections = 0\n", "1 to")]:
        (folder / "dvm.ini").write_text("[dvmd]\nanything = else\n[gate]\n" + text)
        result = subprocess.run([GATE, "--state", folder], capture_output=True, text=True, timeout=10)
        assert result.returncode == 1 and hint in result.stderr, result.stderr


def test_takes_sockets_from_a_supervisor(folder):
    (folder / "run").mkdir()
    listener = socket.create_server(("127.0.0.1", 0))
    script = 'exec 3<&%d; export LISTEN_FDS=1 LISTEN_PID=$$; exec "$0" --state "$1"' % listener.fileno()
    gate = subprocess.Popen(["bash", "-c", script, GATE, folder], pass_fds=[listener.fileno()], stderr=subprocess.PIPE)
    port_file = folder / "run/gate.port"
    wait_for(port_file.exists, "the gate")
    assert int(port_file.read_text()) == listener.getsockname()[1]
    context = ssl.create_default_context(cafile=folder / "tls/gate.crt")
    with context.wrap_socket(socket.create_connection(listener.getsockname()), server_hostname="::1") as s:
        s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        problem_of(answer_of(read_all(s)), 503, "host-away")
    gate.terminate()
    assert gate.wait(10) == 0
    gate.stderr.close()
    listener.close()


# ---- requests


def test_request_is_passed_on(gate):
    body = os.urandom(300000)
    answer = answer_of(gate.exchange(
        b"POST /echo HTTP/1.1\r\nHost: dvm.example\r\nAuthorization: Bearer secret-token\r\n"
        b"Content-Length: %d\r\nX-Forwarded-For: 10.1.2.3\r\nX-FORWARDED-Host: evil\r\nForwarded: for=1.1.1.1\r\n"
        b"X-Real-IP: 10.1.2.3\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\n"
        b"Idempotency-Key: k1\r\n\r\n" % len(body) + body))
    assert answer[0] == 200 and answer[2] == body
    line, fields, got = gate.dvmd.requests[0]
    names = [name.lower() for name, _ in fields]
    assert line == "POST /echo HTTP/1.1" and got == body
    assert dict(fields)["Authorization"] == "Bearer secret-token" and dict(fields)["Idempotency-Key"] == "k1"
    assert not {"x-forwarded-for", "x-forwarded-host", "forwarded", "x-real-ip", "x-hop", "keep-alive"} & set(names)
    assert [v for k, v in fields if k.lower() == "connection"] == ["close"]
    assert names.count("x-request-id") == 1
    assert "secret-token" not in gate.log.read_text()


def test_request_id_of_the_user_is_kept_if_it_is_one(gate):
    gate.get("/a", "X-Request-Id: my-id.7\r\n")
    gate.get("/a", "X-Request-Id: no good\r\n")
    gate.get("/a", f"X-Request-Id: {'x' * 37}\r\n")
    ids = [dict(fields)["X-Request-Id"] for _, fields, _ in gate.dvmd.requests]
    assert ids[0] == "my-id.7" and ids[1].startswith("r-") and ids[2].startswith("r-")


def test_large_answer_to_a_slow_reader(gate):
    with gate.connect() as s:
        s.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(0.5)
        rss = int(pathlib.Path(f"/proc/{gate.process.pid}/statm").read_text().split()[1]) * 4096
        assert SANITIZED or rss < 100 * MIB
        body = read_all(s).partition(b"\r\n\r\n")[2]
    assert body == b"".join(bytes([i]) * MIB for i in range(20))


def test_events_come_at_once(gate):
    with gate.connect() as s:
        s.sendall(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
        data = b""
        for i in range(3):
            while b"data: %d\n\n" % i not in data:
                more = s.recv(65536)
                assert more
                data += more
            gate.dvmd.slow_reader.set()


def test_dvmd_is_told_when_the_user_leaves(gate):
    left = threading.Event()

    def serve(conn):
        read_until(conn, b"\r\n\r\n")
        conn.sendall(b"HTTP/1.1 200 OK\r\n\r\ndata: 1\n\n")
        if conn.recv(1) == b"":
            left.set()

    gate.dvmd.stop()
    gate.closers.append(unix_server(gate.run / "api.sock", serve))
    with gate.connect() as s:
        s.sendall(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
        s.recv(100)
    assert left.wait(10)


def test_answer_before_the_body_was_read(gate):
    head = b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n"
    assert answer_of(gate.exchange(head + b"x" * 900000))[0] == 401


def test_dvmd_away_and_back(gate):
    assert gate.get("/v1/vms")[0] == 200
    gate.dvmd.stop()
    answer = gate.get("/v1/vms")
    problem_of(answer, 503, "host-away")
    assert int(answer[1]["retry-after"]) > 0
    gate.dvmd.start()
    assert gate.get("/v1/vms")[0] == 200
    problem_of(gate.get("/nothing"), 503, "host-away")


@pytest.mark.parametrize("request_bytes", [
    b"\r\n\r\n",
    b"GET\r\n\r\n",
    b"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
    b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\nHost: x\n\n",
    b"GET / HTTP/1.1\r\nHost: x\n\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nA: \x00\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    b"GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n",
    b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3, 3\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x3\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
], ids=lambda b: repr(b[:60]))
def test_malformed_requests_go_no_further(gate, request_bytes):
    problem_of(answer_of(gate.exchange(request_bytes)), 400, "bad-request")
    assert gate.dvmd.requests == []


def test_second_request_in_the_same_bytes_is_not_answered(gate):
    smuggled = b"GET /admin HTTP/1.1\r\nHost: x\r\n\r\n"
    data = gate.exchange(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc" + smuggled)
    assert answer_of(data)[2] == b"abc"
    assert [line for line, _, _ in gate.dvmd.requests] == ["POST /echo HTTP/1.1"]


def test_too_large(gate):
    problem_of(gate.get("/", "A: " + "x" * 17000 + "\r\n"), 413, "too-large")
    problem_of(gate.get("/" + "x" * 20000), 413, "too-large")
    head = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
    problem_of(answer_of(gate.exchange(head % (MIB + 1))), 413, "too-large")
    problem_of(answer_of(gate.exchange(head % (8 * MIB) + b"x" * MIB)), 413, "too-large")
    problem_of(answer_of(gate.exchange(head % 10**18)), 413, "too-large")
    assert answer_of(gate.exchange(head % MIB + b"x" * MIB))[0] == 200
    assert gate.dvmd.requests.pop()[2] == b"x" * MIB and gate.dvmd.requests == []


def test_no_tls(gate):
    with socket.create_connection(("127.0.0.1", gate.port)) as s:
        s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"HTTP" not in read_all(s)
    old = gate.context()
    old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2
    with gate.connect(old) as s:
        assert s.version() == "TLSv1.2" and s.cipher()[0].startswith("ECDHE")


def test_slow_heads_are_dropped(gate):
    begin = time.monotonic()
    silent = socket.create_connection(("127.0.0.1", gate.port))
    half = gate.connect()
    half.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
    silent.settimeout(20)
    with silent, half:
        assert silent.recv(1) == b"" and read_all(half) == b""
    assert 9 < time.monotonic() - begin < 15


# ---- streams


def echo(conn):
    while data := conn.recv(65536):
        conn.sendall(data)


@pytest.mark.parametrize("offered", [None, ["binary"], ["other", "binary"]])
def test_raw_stream(gate, offered):
    gate.relay("v-raw", echo)
    data = os.urandom(5 * MIB)

    async def talk():
        async with gate.websocket(gate.dvmd.ticket("v-raw", raw=True), subprotocols=offered) as ws:
            assert ws.subprotocol == ("binary" if offered else None)

            async def send():
                for i in range(0, len(data), 100000):
                    await ws.send(data[i:i + 100000])
                await ws.send([data[:10], data[10:20], b"", data[20:30]])  # one message in fragments

            task, got = asyncio.create_task(send()), b""
            while len(got) < len(data) + 30:
                message = await asyncio.wait_for(ws.recv(), 20)
                assert isinstance(message, bytes)
                got += message
            await task
            await asyncio.wait_for(await ws.ping(b"are you there"), 5)
            assert got == data + data[:30]

    asyncio.run(talk())


def test_what_the_relay_says_first_is_not_lost(gate):
    def serve(conn):
        conn.sendall(b"after that")

    gate.relay("v-first", serve, line=b"OK raw\nat once, ")

    async def talk():
        async with gate.websocket(gate.dvmd.ticket("v-first", raw=True)) as ws:
            got = b""
            with pytest.raises(websockets.ConnectionClosedOK) as closed:
                while True:
                    got += await asyncio.wait_for(ws.recv(), 10)
            assert got == b"at once, after that"
            assert closed.value.rcvd.code == 1000

    asyncio.run(talk())


def hand_over(conn, far):
    """A relay that hands the stream's socket over, and keeps a copy as relays do."""
    end, stream = socket.socketpair()
    socket.send_fds(conn, [b"OK socket\n"], [stream.fileno()])
    far.append((end, stream, conn))


@pytest.mark.parametrize("who_ends", ["user", "far", "relay", "relay-killed"])
def test_a_socket_handed_over(gate, who_ends):
    far, over = [], threading.Event()

    def serve(conn):
        hand_over(conn, far)
        end, stream, conn = far[0]
        end.settimeout(10)
        while data := end.recv(65536):
            end.sendall(data)
            if data == b"end" and who_ends == "far":
                break
        over.set()
        if who_ends == "far":
            end.close()
            stream.close()
        if who_ends != "relay-killed":
            assert conn.recv(1) == b""

    gate.relay("s-pipe", serve, line=b"")

    async def talk():
        async with gate.websocket(gate.dvmd.ticket("s-pipe", raw=True)) as ws:
            for word in (b"x" * 60000, b"end"):
                await ws.send(word)
                got = b""
                while len(got) < len(word):
                    got += await asyncio.wait_for(ws.recv(), 10)
                assert got == word
            end, stream, conn = far[0]
            if who_ends == "user":
                return
            if who_ends == "relay":
                conn.shutdown(socket.SHUT_RDWR)
                stream.shutdown(socket.SHUT_RDWR)
            elif who_ends == "relay-killed":
                stream.close()
                conn.shutdown(socket.SHUT_RDWR)
                conn.close()
            with pytest.raises(websockets.ConnectionClosedOK):
                await asyncio.wait_for(ws.recv(), 10)

    asyncio.run(talk())
    # The relay keeps a copy: that the user has left, it learns from the connection.
    if who_ends == "user":
        assert far[0][2].recv(1) == b""
        far[0][1].shutdown(socket.SHUT_RDWR)
    assert over.wait(10)


def test_a_socket_for_a_stream_of_frames_is_refused(gate):
    far = []
    gate.relay("s-frames", lambda conn: hand_over(conn, far), line=b"")
    assert refusal(gate, gate.dvmd.ticket("s-frames"), subprotocols=["dvm.tunnel.v1"]) == 502


def test_last_words_of_the_user_reach_the_relay(gate):
    heard, over = [], threading.Event()

    def serve(conn):
        time.sleep(0.3)
        while data := conn.recv(65536):
            heard.append(data)
        over.set()

    gate.relay("v-last", serve)

    async def talk():
        async with gate.websocket(gate.dvmd.ticket("v-last", raw=True)) as ws:
            await ws.send(b"x" * 300000)
            await ws.send(b"end")

    asyncio.run(talk())
    assert over.wait(10) and b"".join(heard) == b"x" * 300000 + b"end"


def test_text_is_refused(gate):
    gate.relay("v-text", echo)

    async def talk():
        async with gate.websocket(gate.dvmd.ticket("v-text", raw=True)) as ws:
            await ws.send("text")
            with pytest.raises(websockets.ConnectionClosedError) as closed:
                await asyncio.wait_for(ws.recv(), 10)
            assert closed.value.rcvd.code == 1008

    asyncio.run(talk())


def refusal(gate, ticket, **kwargs):
    async def talk():
        with pytest.raises(websockets.InvalidStatusCode) as refused:
            async with gate.websocket(ticket, **kwargs):
                pass
        return refused.value.status_code

    return asyncio.run(talk())


def handshake(ticket, fields="", method="GET", version="1.1"):
    return (
        f"{method} /v1/streams/{ticket} HTTP/{version}\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{fields}\r\n"
    ).encode()


def test_tickets(gate):
    gate.relay("v-once", echo)
    gate.relay("v-no", lambda conn: None, line=b"NO writer-taken\n")
    gate.relay("v-mad", lambda conn: None, line=b"x" * 64)
    gate.relay("v-frames", lambda conn: None, line=b"OK frames\n")
    ticket = gate.dvmd.ticket("v-once", raw=True)

    async def once():
        async with gate.websocket(ticket) as ws:
            await ws.send(b"x")
            assert await asyncio.wait_for(ws.recv(), 10) == b"x"

    asyncio.run(once())
    for bad in (ticket, "A" * 43, "A" * 42, "A" * 44, "%41" * 14 + "A", "A" * 42 + "=", "..%2f" + "A" * 38):
        problem_of(answer_of(gate.exchange(handshake(bad))), 403, "ticket-invalid")
    problem_of(answer_of(gate.exchange(handshake(gate.dvmd.ticket("v-no", raw=True)))), 409, "writer-taken")
    problem_of(answer_of(gate.exchange(handshake(gate.dvmd.ticket("v-mad", raw=True)))), 502, "protocol")
    problem_of(answer_of(gate.exchange(handshake(gate.dvmd.ticket("v-frames", raw=True)))), 502, "protocol")
    problem_of(answer_of(gate.exchange(handshake(gate.dvmd.ticket("v-gone", raw=True)))), 503, "relay-lost")
    problem_of(answer_of(gate.exchange(handshake(gate.dvmd.ticket("v-frames")))), 400, "bad-request")
    log = gate.log.read_text()
    assert ticket not in log and "A" * 42 not in log


def test_paths_that_are_no_relays(gate):
    for path in ("/etc/passwd", "api.sock", "../relay/x/stream.sock/..", "relay//stream.sock", "relay/../stream.sock",
                 "relay/A/stream.sock", "arelay/../x/stream.sock", ""):
        ticket = gate.dvmd.ticket("x")
        gate.dvmd.tickets[ticket] = {"path": path, "raw": True}
        problem_of(answer_of(gate.exchange(handshake(ticket))), 502, "protocol")


def test_bad_handshakes(gate):
    ticket = gate.dvmd.ticket("v-x", raw=True)
    good = handshake(ticket)
    for bad in (
        handshake(ticket, method="POST"),
        handshake(ticket, version="1.0"),
        handshake(ticket, "Content-Length: 3\r\n") + b"abc",
        good.replace(b"Upgrade: websocket", b"Upgrade: h2c"),
        good.replace(b"Connection: Upgrade", b"Connection: keep-alive"),
        good.replace(b"Version: 13", b"Version: 8"),
        good.replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"dGhl"),
        b"GET /v1/streams/" + ticket.encode() + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    ):
        problem_of(answer_of(gate.exchange(bad)), 400, "bad-request")
    assert ticket in gate.dvmd.tickets  # none of them has burned it
    assert gate.dvmd.requests == []


def test_dvmd_away_for_tickets(gate):
    gate.relay("v-a", echo)
    ticket = gate.dvmd.ticket("v-a", raw=True)
    gate.dvmd.stop()
    problem_of(answer_of(gate.exchange(handshake(ticket))), 503, "host-away")
    gate.dvmd.start()
    assert answer_status(gate, handshake(ticket)) == 101


def answer_status(gate, data):
    with gate.connect() as s:
        s.sendall(data)
        return answer_of(read_until(s, b"\r\n\r\n"))[0]


def test_streams_outlive_dvmd(gate):
    gate.relay("v-long", echo)

    async def talk():
        async with gate.websocket(gate.dvmd.ticket("v-long", raw=True)) as ws:
            gate.dvmd.stop()
            await ws.send(b"still here")
            assert await asyncio.wait_for(ws.recv(), 10) == b"still here"

    asyncio.run(talk())


def stalls(send):
    """Sends until nothing is taken for 2 s; how much was taken."""
    total, block = 0, b"x" * 65536
    while total < 200 * MIB:
        try:
            total += send(block)
        except (TimeoutError, socket.timeout, ssl.SSLWantWriteError):
            return total
    raise AssertionError("took 200 MiB that nobody reads")


def test_reader_that_does_not_read_stops_the_relay(gate):
    taken = []

    def serve(conn):
        conn.settimeout(2)
        taken.append(stalls(conn.send))

    gate.relay("v-flood", serve)
    with gate.connect() as s:
        s.sendall(handshake(gate.dvmd.ticket("v-flood", raw=True)))
        wait_for(lambda: taken, "the relay to stall", 60)
    assert taken[0] < 20 * MIB


def test_relay_that_does_not_read_stops_the_user(gate):
    over = threading.Event()
    gate.relay("v-deaf", lambda conn: over.wait(60))
    with gate.connect() as s:
        s.sendall(handshake(gate.dvmd.ticket("v-deaf", raw=True)))
        assert answer_of(read_until(s, b"\r\n\r\n"))[0] == 101
        s.settimeout(2)
        frame = b"\x82\xff" + struct.pack(">Q", 1 << 40) + b"\0\0\0\0"  # one message without end
        s.sendall(frame)
        assert stalls(s.send) < 20 * MIB
    over.set()


def test_pings_of_a_user_who_does_not_read(gate):
    gate.relay("v-ping", echo)
    with gate.connect() as s:
        s.sendall(handshake(gate.dvmd.ticket("v-ping", raw=True)))
        assert answer_of(read_until(s, b"\r\n\r\n"))[0] == 101
        s.settimeout(2)
        pings = (b"\x89\xfd\0\0\0\0" + b"p" * 125) * 500
        assert stalls(lambda _: s.send(pings)) < 20 * MIB
    assert gate.get("/a")[0] == 200


def test_garbage_frames(gate):
    gate.relay("v-garbage", echo)
    for garbage in (b"\x82\x05hello", b"\xff" * 100, b"\x80\x80\0\0\0\0", os.urandom(5000)):
        with gate.connect() as s:
            s.sendall(handshake(gate.dvmd.ticket("v-garbage", raw=True)))
            assert answer_of(read_until(s, b"\r\n\r\n"))[0] == 101
            s.sendall(garbage)
            s.settimeout(2)
            with contextlib.suppress(socket.timeout):
                read_all(s)
    assert gate.get("/a")[0] == 200


def ws_frame(opcode, payload=b"", fin=True, mask=b"\1\2\3\4", rsv=0):
    """A frame as a client sends it; mask None: as only a server may."""
    head = bytes([fin << 7 | rsv << 4 | opcode])
    bit = 0x80 if mask else 0
    if len(payload) < 126:
        head += bytes([bit | len(payload)])
    elif len(payload) < 65536:
        head += bytes([bit | 126]) + struct.pack(">H", len(payload))
    else:
        head += bytes([bit | 127]) + struct.pack(">Q", len(payload))
    if mask:
        head += mask
        payload = bytes(c ^ mask[i % 4] for i, c in enumerate(payload))
    return head + payload


def ws_receive(s):
    """One frame of a server's: opcode, payload."""
    head = receive_exactly(s, 2)
    assert head[0] & 0x70 == 0 and head[1] & 0x80 == 0
    length = head[1] & 0x7F
    if length >= 126:
        length = int.from_bytes(receive_exactly(s, 2 if length == 126 else 8), "big")
    return head[0] & 15, receive_exactly(s, length)


def receive_exactly(s, length):
    data = b""
    while len(data) < length:
        more = s.recv(length - len(data))
        assert more, "the gate closed the connection"
        data += more
    return data


class Sending:
    """A connection that sends while it is read: TLS is for one thread at a time."""

    def __init__(self, sock, data):
        self.sock, self.data = sock, memoryview(data)
        sock.setblocking(False)

    def recv(self, length):
        while True:
            with contextlib.suppress(ssl.SSLWantReadError):
                return self.sock.recv(length)
            with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
                self.data = self.data[self.sock.send(self.data[:16384]) :] if self.data else self.data
            if not self.sock.pending():
                ready = select.select([self.sock], [self.sock] if self.data else [], [], 20)
                assert ready != ([], [], []), "the gate neither takes nor gives"


@contextlib.contextmanager
def raw_stream(gate, name):
    with gate.connect() as s:
        s.sendall(handshake(gate.dvmd.ticket(name, raw=True)))
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += receive_exactly(s, 1)
        assert answer_of(head)[0] == 101
        yield s


def test_fragments_and_pings_between_them(gate):
    gate.relay("v-frames", echo)
    with raw_stream(gate, "v-frames") as s:
        s.sendall(ws_frame(2, b"one ", fin=False) + ws_frame(9, b"are you there?") + ws_frame(0, b"two ", fin=False) +
                  ws_frame(10, b"unasked") + ws_frame(0, b"", fin=False) + ws_frame(0, b"three"))
        data, pongs = b"", []
        while len(data) < 13 or not pongs:
            opcode, payload = ws_receive(s)
            assert opcode in (2, 10)
            if opcode == 2:
                data += payload
            else:
                pongs.append(payload)
        assert data == b"one two three" and pongs == [b"are you there?"]
        # a frame in bytes, and one that is larger than every buffer on the way
        for byte in ws_frame(2, b"slowly"):
            s.sendall(bytes([byte]))
        large = os.urandom(3 * MIB)
        sending = Sending(s, ws_frame(2, large, mask=b"\0\0\0\0"))
        data = b""
        while len(data) < 6 + len(large):
            data += ws_receive(sending)[1]
        s.settimeout(20)
        assert data == b"slowly" + large
        s.sendall(ws_frame(8, struct.pack(">H", 1000)))
        assert ws_receive(s) == (8, struct.pack(">H", 1000))


@pytest.mark.parametrize("wrong", [
    ws_frame(2, b"hello", mask=None),
    ws_frame(9, b"p" * 126),
    ws_frame(9, b"p", fin=False),
    ws_frame(0, b"continues nothing"),
    ws_frame(2, b"a", fin=False) + ws_frame(2, b"begins in the middle of another"),
    ws_frame(2, b"x", rsv=4),
    ws_frame(3, b"x"),
    ws_frame(11, b"x"),
    b"\x82\xff" + b"\xff" * 8 + b"\0\0\0\0",
], ids=["unmasked", "long-ping", "ping-in-parts", "continuation", "two-at-once", "reserved-bit", "reserved-data",
        "reserved-control", "negative-length"])
def test_frames_against_the_rules(gate, wrong):
    """Each ends its stream with a code that says so, after what was right before it, and no other."""
    gate.relay("v-wrong", echo)
    with raw_stream(gate, "v-wrong") as other, raw_stream(gate, "v-wrong") as s:
        s.sendall(ws_frame(2, b"right"))
        assert ws_receive(s) == (2, b"right")
        s.sendall(wrong)
        opcode, payload = ws_receive(s)
        while opcode == 2:
            opcode, payload = ws_receive(s)
        assert (opcode, payload[:2]) == (8, struct.pack(">H", 1002))
        assert read_all(s) == b""
        other.sendall(ws_frame(2, b"not disturbed"))
        assert ws_receive(other) == (2, b"not disturbed")


# ---- streams in frames, by the command line's own client


@pytest.fixture
def tunnel(gate):
    process = subprocess.Popen([TUNNEL_ECHO, gate.relay_folder("s-tunnel")])
    wait_for((gate.run / "relay/s-tunnel/stream.sock").exists, "the relay")
    yield gate
    process.kill()
    process.wait()


def stream_pipe(gate, service, *words, data=b"", ticket=None, pin=None, timeout=60):
    ticket = ticket or gate.dvmd.ticket("s-tunnel")
    env = dict(os.environ, DVM_URL=f"https://127.0.0.1:{gate.port}", DVM_PIN=pin or gate.pin)
    return subprocess.run([STREAM_PIPE, f"/v1/streams/{ticket}", service, *words], input=data, env=env,
                          capture_output=True, timeout=timeout)


def test_frames_both_ways_and_the_end_of_each(tunnel):
    data = os.urandom(20 * MIB)
    result = stream_pipe(tunnel, "echo", data=data)
    assert result.returncode == 0, result.stderr
    assert hashlib.sha256(result.stdout).digest() == hashlib.sha256(data).digest()
    assert result.stderr == b"opened 0 3\neof\noffset %d\n" % len(data)
    assert stream_pipe(tunnel, "echo", data=b"").stdout == b""


def test_frames_resume(tunnel):
    result = stream_pipe(tunnel, "tail", "123456789")
    assert result.stdout == b"tail\n" and b"opened 123456789" in result.stderr and b"offset 123456794" in result.stderr


def test_frames_gaps_and_notices(tunnel):
    env = dict(os.environ, DVM_URL=f"https://127.0.0.1:{tunnel.port}", DVM_PIN=tunnel.pin)
    ticket = tunnel.dvmd.ticket("s-tunnel")
    process = subprocess.Popen([STREAM_PIPE, f"/v1/streams/{ticket}", "console"], env=env, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.read(10) == b"text\nmore\n"
    tunnel.kill()
    assert process.wait(10) == 1
    assert process.stderr.read() == (
        b"opened 1000 3\nwriter 1\ngap 50\nsource 0\nfault relay-lost Connection reset by peer\noffset 1060\n")
    for f in (process.stdin, process.stdout, process.stderr):
        f.close()
    tunnel.start()


def test_frames_refusals(tunnel):
    assert b"fault console-unsupported" in stream_pipe(tunnel, "nonsense").stderr
    assert b"fault ticket-invalid" in stream_pipe(tunnel, "echo", ticket="A" * 43).stderr
    assert b"fault unauthenticated" in stream_pipe(tunnel, "echo", pin="sha256//" + "A" * 43 + "=").stderr
    tunnel.dvmd.stop()
    assert b"fault host-away" in stream_pipe(tunnel, "echo").stderr


# ---- many, and the end


def test_a_thousand_idle_connections(gate):
    context = gate.context()
    before = rss(gate)
    open_ones = [gate.connect(context) for _ in range(1000)]
    each = (rss(gate) - before) / len(open_ones)
    assert gate.get("/a")[0] == 200
    for s in open_ones:
        s.close()
    wait_for(lambda: gate.log.read_text().count("head -> dead") >= 1000, "all to be gone")
    assert SANITIZED or each < 100 * 1024, f"{each / 1024:.0f} KiB for an idle connection"


def rss(gate):
    return int(pathlib.Path(f"/proc/{gate.process.pid}/statm").read_text().split()[1]) * 4096


def test_connections_of_one_address_are_limited(folder):
    gate = Gate(folder, "per-address = 5\n")
    context = gate.context()
    open_ones = [gate.connect(context) for _ in range(5)]
    with pytest.raises(OSError):
        gate.connect(context)
    open_ones.pop().close()
    wait_for(lambda: works(gate), "a place to be free")
    for s in open_ones:
        s.close()
    gate.close()


def works(gate):
    with contextlib.suppress(OSError):
        return gate.get("/a")[0] == 200


def test_dies_and_comes_back_at_the_same_port(gate):
    port, pin = gate.port, gate.pin
    gate.relay("v-again", echo)
    with gate.connect() as s:
        s.sendall(handshake(gate.dvmd.ticket("v-again", raw=True)))
        assert answer_of(read_until(s, b"\r\n\r\n"))[0] == 101
        gate.kill()
        with contextlib.suppress(ssl.SSLEOFError):
            assert read_all(s) == b""
    gate.start()
    assert (gate.port, gate.pin) == (port, pin)
    assert gate.get("/a")[0] == 200
    assert answer_status(gate, handshake(gate.dvmd.ticket("v-again", raw=True))) == 101


def test_ends_in_good_manner(gate):
    gate.relay("v-end", echo)

    async def talk():
        async with gate.websocket(gate.dvmd.ticket("v-end", raw=True)) as ws:
            await ws.send(b"x")
            await ws.recv()
            begin = time.monotonic()
            gate.process.send_signal(signal.SIGTERM)
            with pytest.raises(websockets.ConnectionClosedOK) as closed:
                await asyncio.wait_for(ws.recv(), 10)
            assert closed.value.rcvd.code == 1001
            return begin

    half = gate.connect()
    half.sendall(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
    begin = asyncio.run(talk())
    assert gate.process.wait(10) == 0
    assert time.monotonic() - begin < 5
    half.close()
    gate.start()
