# SPDX-License-Identifier: Apache-2.0
"""dvm vnc, screenshot and keys, from the command line to a display that is pretended; and the same by programs that are not ours."""

import asyncio
import os
import pathlib
import re
import signal
import socket
import ssl
import subprocess
import threading

import dvmtest
import pytest
import rfb
import rpc
import websockets
from openapi_check import DvmClient


@pytest.fixture(scope="module")
def cloud():
    with dvmtest.Cloud(uri="fake:") as up:
        up.fake = rpc.Peer(up.state / "run/fakevirt.sock", hello=False)
        up.uuid = up.fake.call("script.define", name="patient")["uuid"]
        up.dvm("vm", "adopt", "patient")
        yield up
        up.dvm("power", "off", "patient")
        up.dvm("vm", "release", "patient")
        up.fake.close()


@pytest.fixture
def patient(cloud):
    """Off and on again: its display has seen nothing."""
    cloud.dvm("power", "off", "patient")
    cloud.dvm("power", "on", "patient")
    return lambda: cloud.fake.call("script.display", domain=cloud.uuid)


class Vnc:
    """A `dvm vnc` that runs until it is told to stop."""

    def __init__(self, cloud, *args):
        self.process = cloud.popen("vnc", "patient", *args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.address = self.process.stdout.readline().strip()
        self.host, self.port = self.address.rsplit(":", 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.out, self.err = self.process.communicate(timeout=30)
        assert self.process.returncode == 0, self.err

    def connect(self):
        return rfb.connect(self.host, int(self.port))


def test_several_viewers(cloud, patient):
    with Vnc(cloud, "--print") as vnc:
        assert vnc.host == "127.0.0.1"
        viewers = [vnc.connect() for _ in range(3)]
        for viewer in viewers:
            assert viewer.picture() == b"\xa5" * 64 * 48 * 4
            viewer.key(ord("a"))
        assert patient()["viewers"] == 3 and patient()["exclusive"] == 0
        viewers[0].close()
        dvmtest.wait_for(lambda: patient()["viewers"] == 2, "its display to be told")
        dvmtest.wait_for(lambda: patient()["seen"].get("4") == 6, "the keys")
        cloud.dvm("power", "off", "patient")
        for viewer in viewers[1:]:
            with pytest.raises(EOFError):
                viewer.update()
        cloud.dvm("power", "on", "patient")
        assert vnc.connect().width == 64  # the same address goes on
    assert "address" in vnc.err


def test_watching_only(cloud, patient):
    with Vnc(cloud, "--print", "--read-only") as vnc:
        viewer = vnc.connect()
        viewer.key(ord("a"))
        viewer.pointer(1, 1)
        viewer.picture()
        assert set(patient()["seen"]) == {"0", "2", "3"}


def test_a_port_of_one_s_own(cloud, patient):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
        taken = cloud.dvm("vnc", "patient", "--listen", port, check=False)
        assert taken.returncode == 2 and f"port {port}" in taken.stderr
    with Vnc(cloud, "--listen", port) as vnc:
        assert vnc.address == f"127.0.0.1:{port}"
        vnc.connect()


def test_only_the_same_user_is_let_in(cloud, patient):
    if os.getuid() != 0:
        pytest.fail("this test becomes another user and needs root for it")
    with Vnc(cloud, "--print") as vnc:
        for family, host in ((2, "127.0.0.1"), (10, "::ffff:127.0.0.1")):  # the second is what Java's programs do
            script = (
                "import socket; s = socket.socket(%d); s.settimeout(30); s.connect((%r, %s))\n"
                "print(s.recv(12))" % (family, host, vnc.port)
            )
            for user, answer in ((4242, "b''"), (0, "b'RFB 003.008\\n'")):
                got = dvmtest.run("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--", "/usr/bin/python3",
                                  "-c", script)
                assert got.stdout.strip() == answer
    assert vnc.err.count("somebody else") == 2, vnc.err


def test_who_has_gone_already_is_nobody(cloud, patient):
    """The kernel's table says "root" of a connection whose program closed it, whoever that was."""
    assert os.getuid() == 0, "this test becomes another user and needs root for it"
    with Vnc(cloud, "--print") as vnc:
        script = (
            "import socket; s = socket.create_connection(('127.0.0.1', %s))\n"
            "s.sendall(b'RFB 003.008\\n\\x01\\x01'); print(s.getsockname()[1]); s.close()" % vnc.port
        )
        vnc.process.send_signal(signal.SIGSTOP)
        try:
            port = dvmtest.run("setpriv", "--reuid=4242", "--regid=4242", "--clear-groups", "--", "/usr/bin/python3", "-c",
                               script).stdout
            row = re.compile(rf" 0100007F:{int(port):04X} 0100007F:{int(vnc.port):04X} \S+ \S+ \S+ \S+ +0 ")
            dvmtest.wait_for(lambda: row.search(pathlib.Path("/proc/net/tcp").read_text()), "a connection of nobody's")
        finally:
            vnc.process.send_signal(signal.SIGCONT)
        assert vnc.connect().width == 64  # one after the other
    assert vnc.err.count("somebody else") == 1, vnc.err


def test_a_viewer_is_started_and_ends_it(cloud, patient, tmp_path):
    cloud.env["DVM_VIEWER"] = f"sh -c 'echo $1 $DVM_VNC_PORT >{tmp_path}/called; cp /proc/self/status {tmp_path}; vncsnapshot -quiet 127.0.0.1::$DVM_VNC_PORT {tmp_path}/s.jpg' x"
    try:
        result = cloud.dvm("vnc", "patient")
        assert result.stdout == ""
        address, port = (tmp_path / "called").read_text().split()
        assert address == f"127.0.0.1::{port}"
        # It gets no signal treated in dvm's way: one in a pipe would not end with it.
        ignored, blocked = (re.search(rf"{kind}:\s*(\w+)", (tmp_path / "status").read_text())[1] for kind in ("SigIgn", "SigBlk"))
        assert int(ignored, 16) & 1 << (signal.SIGPIPE - 1) == 0 and int(blocked, 16) == 0
        assert (tmp_path / "s.jpg").read_bytes()[:3] == b"\xff\xd8\xff"
        cloud.env["DVM_VIEWER"] = "false"
        failed = cloud.dvm("vnc", "patient", check=False)
        assert failed.returncode == 2 and "status 1" in failed.stderr
    finally:
        del cloud.env["DVM_VIEWER"]


def test_a_gdb_is_started_and_ends_it(cloud, patient, tmp_path):
    script = tmp_path / "gdb"
    script.write_text(f"""#!/bin/bash
    printf '%s\\n' "$@" >{tmp_path}/called
    exec 3<>/dev/tcp/127.0.0.1/${{4##*:}} && printf '$?#3f' >&3 && head -c 18 <&3 >{tmp_path}/why
    """)
    script.chmod(0o755)
    cloud.env["DVM_GDB"] = f"{script} -nx"
    try:
        assert cloud.dvm("gdb", "patient", "my vmlinux").stdout == ""
        words = (tmp_path / "called").read_text().splitlines()
        assert words[:3] == ["-nx", "-q", "-ex"] and words[3].startswith("target remote 127.0.0.1:") and words[4:] == ["my vmlinux"]
        assert (tmp_path / "why").read_text() == "+$T05thread:01;#07"
        dvmtest.wait_for(lambda: cloud.json("vm", "show", "patient")["debugger"] is None, "it to be let go")
        assert cloud.json("vm", "show", "patient")["state"] == "running"
        cloud.env["DVM_GDB"] = "false"
        failed = cloud.dvm("gdb", "patient", check=False)
        assert failed.returncode == 2 and "status 1" in failed.stderr
    finally:
        del cloud.env["DVM_GDB"]


def test_what_is_in_the_way_is_said_at_once(cloud, patient):
    cloud.dvm("power", "off", "patient")
    for command in (["vnc", "patient", "--print"], ["screenshot", "patient", "/dev/null"], ["keys", "patient", "enter"]):
        off = cloud.dvm(*command, check=False)
        assert off.returncode == 5 and "dvm power on" in off.stderr, command
    assert cloud.dvm("vnc", "nobody", "--print", check=False).returncode == 4
    for bad in ("0", "65536", "x"):
        assert cloud.dvm("vnc", "patient", "--listen", bad, check=False).returncode == 2


def test_screenshot(cloud, patient, tmp_path):
    file = tmp_path / "screen.png"
    assert cloud.json("screenshot", "patient", file) == {
        "vm": "patient", "file": str(file), "width": 1, "height": 1, "size_bytes": file.stat().st_size}
    picture = file.read_bytes()
    assert picture.startswith(b"\x89PNG") and b"QEMU" not in picture and b"tEXt" not in picture
    assert subprocess.run([dvmtest.DVM, "screenshot", "patient"], env=cloud.env, stdout=subprocess.PIPE, check=True).stdout == picture
    assert "1 x 1" in cloud.dvm("screenshot", "patient", file).stdout
    # a failure leaves what was there
    cloud.fake.call("script.screen", domain=cloud.uuid, path="/dev/null")
    assert cloud.dvm("screenshot", "patient", file, check=False).returncode != 0
    assert file.read_bytes() == picture
    cloud.fake.call("script.screen", domain=cloud.uuid, path=str(file))
    assert cloud.dvm("screenshot", "patient", tmp_path / "no/folder.png", check=False).returncode == 2


def test_keys(cloud, patient):
    cloud.dvm("keys", "patient", "ctrl-alt-del", "alt-sysrq-b")
    assert patient()["keys"] == [[29, 56, 111], [56, 99, 48]]
    assert cloud.json("keys", "patient", "--text", "Ab")["chords"] == 2
    assert patient()["keys"][2:] == [[42, 30], [48]]
    for bad in (["hyper-x"], ["a", "--text", "b"], [], ["--text", "é"], ["a"] * 17):
        assert cloud.dvm("keys", "patient", *bad, check=False).returncode == 2, bad
    assert len(patient()["keys"]) == 4


class WebSocket:
    """The client that Debian's python3-websockets is, as a socket."""

    def __init__(self, cloud, url, protocols):
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        address = cloud.env["DVM_URL"].replace("https:", "wss:") + url
        self.ws = self.run(self.open(address, context, protocols))
        self.bytes = b""

    async def open(self, address, context, protocols):
        return await websockets.connect(address, ssl=context, subprotocols=protocols, max_size=None)

    def run(self, what):
        return asyncio.run_coroutine_threadsafe(what, self.loop).result(60)

    def sendall(self, data):
        self.run(self.ws.send(data))

    def recv(self, n):
        if not self.bytes:
            self.bytes = self.run(self.ws.recv())
        data, self.bytes = self.bytes[:n], self.bytes[n:]
        return data

    def close(self):
        self.run(self.ws.close())
        self.loop.call_soon_threadsafe(self.loop.stop)


@pytest.mark.parametrize("protocols", [None, ["binary"], ["base64", "binary"]])
@pytest.mark.parametrize("mode", ["r", "rw"])
def test_raw_over_a_websocket_that_is_not_ours(cloud, patient, protocols, mode):
    """What noVNC and websockify's other clients do: a display, and a console."""
    api = DvmClient(cloud.env["DVM_URL"], token=cloud.env["DVM_TOKEN"], pin=cloud.env["DVM_PIN"])
    ticket = api.ok("POST", "/v1/vms/patient/streams", {"kind": "vnc", "mode": mode, "raw": True})
    ws = WebSocket(cloud, ticket["url"], protocols)
    assert ws.ws.subprotocol == (protocols and "binary")
    viewer = rfb.Viewer(ws)
    viewer.key(ord("a"))
    assert viewer.picture() == b"\xa5" * 64 * 48 * 4
    assert patient()["seen"].get("4") == (2 if mode == "rw" else None)
    viewer.close()
    ticket = api.ok("POST", "/v1/vms/patient/streams", {"kind": "console", "mode": mode, "raw": True})
    ws = WebSocket(cloud, ticket["url"], protocols)
    said = b""
    while b"login: " not in said:
        said += ws.recv(65536)
    ws.close()
