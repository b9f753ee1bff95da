# SPDX-License-Identifier: Apache-2.0
"""A dvm-hostd of the test's own (interfaces/PROTOCOL.host): domains in a dict, D-VMs that are up at once, and scripted
faults; and a real dvmd above it."""

import base64
import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
import uuid

import dvmtest

PROGRAM = dvmtest.BUILD / "src" / "dvmd" / "dvmd"
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHNjcmlwdGVkIGhvc3QsIG5vdCBhIGtleSEhISEh"
POWER = {"on": "running", "off": "off", "shutdown": "off", "reboot": "running", "reset": "running",
         "pause": "paused", "resume": "running", "nmi": None}


class Fault(Exception):
    def __init__(self, code, message="scripted"):
        self.code = code
        super().__init__(message)


def send_frame(connection, message):
    body = json.dumps(message).encode()
    connection.sendall(struct.pack(">I", len(body)) + body)


def read_frame(connection):
    head = connection.recv(4, socket.MSG_WAITALL)
    if len(head) < 4:
        return None
    body = connection.recv(struct.unpack(">I", head)[0], socket.MSG_WAITALL)
    return json.loads(body)


class Script:
    """What happens to calls of one method: the first `after` pass, then each waits for `wait`, then fails with `fault`."""

    def __init__(self, after=0, fault=None, wait=None):
        self.after, self.fault, self.wait = after, fault, wait

    def run(self):
        if self.after > 0:
            self.after -= 1
            return
        if self.wait:
            self.wait.wait(30)
        if self.fault:
            raise Fault(self.fault)


class ScriptedHost:
    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.lock = threading.RLock()
        self.hypervisor = "up"
        self.domains, self.consoles, self.sessions, self.recordings = {}, {}, {}, {}
        self.images = [self.image("debug", True)]
        self.scripts, self.seen, self.connections = {}, [], []
        self.listener = None
        self.listen()

    @staticmethod
    def image(name, default):
        return {"id": hashlib.sha256(name.encode()).hexdigest(), "name": name, "created": "2026-11-01T00:00:00.000Z",
                "size_bytes": 1 << 25, "default": default, "stacks": [{"name": "disk", "size_bytes": 1 << 20}]}

    # -- what tests do with it

    def add(self, name, state="running"):
        with self.lock:
            domain = str(uuid.uuid5(uuid.NAMESPACE_DNS, name))
            self.domains[domain] = {"uuid": domain, "name": name, "state": state}
            return domain

    @contextlib.contextmanager
    def script(self, method, **how):
        self.seen = [call for call in self.seen if call[0] != method]
        self.scripts[method] = Script(**how)
        try:
            yield
        finally:
            del self.scripts[method]

    def calls(self, method):
        return sum(call[0] == method for call in self.seen)

    def wait_call(self, method, seconds=10):
        end = time.monotonic() + seconds
        while not self.calls(method):
            assert time.monotonic() < end, f"no call of {method}"
            time.sleep(0.01)

    @contextlib.contextmanager
    def away(self):
        self.close()
        try:
            yield
        finally:
            self.listen()
            end = time.monotonic() + 20
            while not self.connections:
                assert time.monotonic() < end, "dvmd does not come back"
                time.sleep(0.02)

    # -- the wire

    def listen(self):
        self.path.unlink(missing_ok=True)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        self.listener.listen(16)
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def close(self):
        listener, self.listener = self.listener, None
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        self.path.unlink(missing_ok=True)
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.connections = []

    def accept(self, listener):
        while self.listener is listener:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        self.connections.append(connection)
        with contextlib.suppress(OSError, ValueError), connection:
            while message := read_frame(connection):
                if "method" in message and "id" in message:
                    threading.Thread(target=self.answer, args=(connection, message), daemon=True).start()

    def answer(self, connection, message):
        method = message["method"]
        try:
            with self.lock:
                self.seen.append((method, message["params"]))
            if method in self.scripts:
                self.scripts[method].run()
            with self.lock:
                handler = getattr(self, "do_" + method.replace(".", "_"), None)
                if not handler:
                    raise Fault("not-supported", f"{method} is not scripted")
                reply = {"id": message["id"], "result": handler(**message["params"])}
        except Fault as fault:
            reply = {"id": message["id"], "fault": {"code": fault.code, "message": str(fault), "hint": "Scripted."}}
        with self.lock, contextlib.suppress(OSError):
            send_frame(connection, reply)

    # -- the methods

    def find(self, domain):
        for found in self.domains.values():
            if domain in (found["uuid"], found["name"]):
                return found
        raise Fault("vm-gone", "there is no such domain")

    def do_hello(self, **_):
        return {"protocol": 1, "program": "dvm-hostd"}

    def do_host_info(self):
        return {"hypervisor": self.hypervisor, "memory_free_mib": 8000, "memory_total_mib": 16000, "vcpus": 4}

    def do_domain_list(self):
        return {"domains": [{**d, "dvm_session": None} for d in self.domains.values()]}

    def do_domain_get(self, domain):
        return {**self.find(domain), "memory_mib": 512, "vcpus": 1, "graphics": ["vnc"],
                "disks": [{"dev": "vda", "size_bytes": 1 << 30, "readonly": False, "kind": "disk"}],
                "consoles": [{"type": "pty", "usable": True}]}

    def do_domain_power(self, domain, vm, verb):
        found = self.find(domain)
        found["state"] = POWER[verb] or found["state"]
        return {"state": found["state"]}

    def do_console_ensure(self, vm, domain):
        self.consoles[vm] = domain
        return {"up": True, "offset": 0}

    def do_console_drop(self, vm):
        self.consoles.pop(vm, None)
        return {}

    def do_console_list(self):
        return {"consoles": [{"vm": v, "domain": d, "up": True, "offset": 0} for v, d in self.consoles.items()]}

    def do_image_list(self):
        return {"images": self.images}

    def find_image(self, ref):
        for image in self.images:
            if ref == image["name"] or len(ref) >= 8 and image["id"].startswith(ref) or not ref and image["default"]:
                return image
        raise Fault("image-missing", "there is no such image")

    def do_image_verify(self, image):
        self.find_image(image)
        return {}

    def do_dvm_ensure(self, session, image, stacks, **_):
        found = self.find_image(image)
        if set(stacks) - {s["name"] for s in found["stacks"]}:
            raise Fault("stack-missing", "the image has no such stack")
        self.sessions.setdefault(session, {"disks": {}, "consoles": []})
        return {"image": found["id"], "host_key": HOST_KEY}

    def do_dvm_config(self, session, agent):
        return {}

    def do_attach_console(self, session, vm, name, record):
        self.sessions[session]["consoles"].append(vm)
        return {}

    def do_attach_disk(self, session, vm, domain, index, mode):
        if self.find(domain)["state"] != "off":
            raise Fault("vm-running", "it runs")
        self.sessions[session]["disks"][vm] = [f"t{index}-vda"]
        return {"devices": [f"t{index}-vda"]}

    def do_detach_disk(self, session, vm):
        self.sessions.get(session, {"disks": {}})["disks"].pop(vm, None)
        return {}

    def do_session_release(self, session):
        self.sessions.pop(session, None)
        return {}

    def do_session_list(self):
        return {"sessions": [
            {"session": name, "dvm": "running", "relay": True, "agent": True, "host_key": HOST_KEY,
             "disks": [{"vm": vm, "devices": devices} for vm, devices in s["disks"].items()],
             "consoles": s["consoles"]} for name, s in self.sessions.items()]}

    def do_stream_grant(self, relay, ticket, service, mode, raw, ttl_ms):
        return {"path": f"/run/relay/{relay}/stream.sock"}

    def do_recording_list(self, session):
        return {"recordings": [{"name": name, "size_bytes": len(data), "format": "asciicast-v2"}
                               for name, data in self.recordings.get(session, {}).items()]}

    def do_recording_read(self, session, name, offset, length):
        data = self.recordings.get(session, {}).get(name)
        if data is None:
            raise Fault("not-found", "there is no such recording")
        piece = data[offset:offset + length]
        return {"data": base64.b64encode(piece).decode(), "size_bytes": len(data),
                "eof": offset + len(piece) >= len(data)}

    def do_recording_remove(self, session):
        self.recordings.pop(session, None)
        return {}


class Dvmd:
    """A dvmd in a state folder of its own, above a ScriptedHost."""

    def __init__(self, config=None, env=None):
        self.state = pathlib.Path(tempfile.mkdtemp(prefix="dvm-api-", dir="/tmp"))
        self.run = self.state / "run"
        self.run.mkdir(mode=0o700)
        self.env = dict(os.environ, **(env or {}))
        if config:
            (self.state / "dvm.ini").write_text(config)
        self.host = ScriptedHost(self.run / "hostd.sock")
        self.socket = self.run / "api.sock"
        self.process = None
        self.token = subprocess.run([PROGRAM, "--state", self.state, "--bootstrap-token"], env=self.env, check=True,
                                    capture_output=True, text=True).stdout.strip()

    def start(self):
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        path = self.run / "notify.sock"
        path.unlink(missing_ok=True)
        notify.bind(str(path))
        notify.settimeout(30)
        self.log = open(self.state / "dvmd.log", "ab")
        self.process = subprocess.Popen([PROGRAM, "--state", self.state], stderr=self.log,
                                        env={**self.env, "NOTIFY_SOCKET": str(path)})
        with notify:
            while b"READY=1" not in notify.recv(4096):
                pass
        return self

    def stop(self, sig=signal.SIGTERM):
        self.process.send_signal(sig)
        status = self.process.wait(20)
        self.log.close()
        return status

    def restart(self):
        assert self.stop() == 0
        self.start()

    def memory_kib(self):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        raise AssertionError("dvmd is gone")

    @contextlib.contextmanager
    def ticket_socket(self):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(str(self.run / "ticket.sock"))
            number = 0

            def call(method, params):
                nonlocal number
                number += 1
                send_frame(connection, {"id": number, "method": method, "params": params})
                return read_frame(connection)

            yield call

    def __enter__(self):
        return self.start()

    def __exit__(self, exc_type, exc, tb):
        status = self.stop() if self.process.poll() is None else self.process.returncode
        self.host.close()
        log = (self.state / "dvmd.log").read_text(errors="replace")
        shutil.rmtree(self.state, ignore_errors=True)
        if exc_type or status != 0:
            print(log[-8000:])
        assert status == 0, f"dvmd ended with {status}"
