# SPDX-License-Identifier: Apache-2.0
"""A scripted dvm-hostd: speaks interfaces/PROTOCOL.host on RUN/hostd.sock and keeps a small world of domains, D-VMs, relays and
consoles that outlives whoever connects, as the real one's does."""
import base64
import json
import os
import socket
import struct
import threading
import time

IMAGE = "5f2d0c9a" * 8
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHRoaXMgaXMgbm9ib2R5J3Mga2V5LCBidXQgYSBrZXku"


class Fault(Exception):
    def __init__(self, code, message="as the test wants it", hint=""):
        super().__init__(code)
        self.code, self.message, self.hint = code, message, hint


class Peer:
    """One connection: frames both ways."""

    def __init__(self, host, sock):
        self.host, self.sock, self.lock = host, sock, threading.Lock()
        self.next_id, self.answers = 1, {}
        threading.Thread(target=self.run, daemon=True).start()

    def send(self, message):
        data = json.dumps(message).encode()
        try:
            with self.lock:
                self.sock.sendall(struct.pack(">I", len(data)) + data)
        except OSError:
            pass

    def read(self, size):
        data = b""
        while len(data) < size:
            more = self.sock.recv(size - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def run(self):
        try:
            while True:
                (size,) = struct.unpack(">I", self.read(4))
                message = json.loads(self.read(size))
                if "method" in message and "id" in message:
                    threading.Thread(target=self.answer, args=(message,), daemon=True).start()
                elif "id" in message:
                    self.answers[message["id"]] = message
        except (EOFError, OSError):
            pass
        finally:
            self.sock.close()
            self.host.peers.discard(self)

    def answer(self, message):
        try:
            result = self.host.handle(message["method"], message["params"])
            self.send({"id": message["id"], "result": result})
        except Fault as fault:
            self.send({"id": message["id"],
                       "fault": {"code": fault.code, "message": fault.message, "hint": fault.hint}})

    def call(self, method, params, timeout=30):
        with self.lock:
            number, self.next_id = self.next_id, self.next_id + 1
        self.send({"id": number, "method": method, "params": params})
        end = time.monotonic() + timeout
        while number not in self.answers:
            assert time.monotonic() < end, f"no answer to {method}"
            time.sleep(0.01)
        message = self.answers.pop(number)
        if "fault" in message:
            raise Fault(**message["fault"])
        return message["result"]

    def close(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


class FakeHostd:
    def __init__(self, path):
        self.path, self.peers, self.listener = str(path), set(), None
        self.lock = threading.RLock()
        self.domains, self.sessions, self.consoles, self.recordings = {}, {}, {}, {}
        self.calls = []  # (method, params), in the order they came
        self.faults = {}  # method -> [[code, times]]
        self.delays = {}  # method -> seconds
        self.grants = []
        self.history_stopped = None
        self.screen, self.shots, self.part = b"", {}, 512 << 10
        self.hypervisor, self.memory_free_mib = "up", 4096
        self.images = [{"id": IMAGE, "name": "debian-12", "created": "2026-11-23T09:13:00.000Z",
                        "size_bytes": 30 << 20, "default": True,
                        "stacks": [{"name": "base", "size_bytes": 1}, {"name": "disk", "size_bytes": 2}]}]

    # ---- the program

    def start(self):
        if os.path.exists(self.path):
            os.unlink(self.path)
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(self.path)
        self.listener.listen()
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()
        return self

    def accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            self.peers.add(Peer(self, sock))

    def stop(self):
        """As a kill would: the world goes on without it."""
        if self.listener:
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
            self.listener = None
        for peer in list(self.peers):
            peer.close()

    def notify(self, method, **params):
        for peer in list(self.peers):
            peer.send({"method": method, "params": params})

    def verb(self, session, verb, *words):
        """A verb from inside the D-VM."""
        (peer,) = self.peers
        return peer.call("session.verb", {"session": session, "verb": verb, "words": list(words)})["text"]

    # ---- the test's hand

    def domain(self, name, state="running", uuid=None):
        uuid = uuid or f"00000000-0000-4000-8000-{len(self.domains):012d}"
        self.domains[uuid] = {"uuid": uuid, "name": name, "state": state}
        return uuid

    def set_state(self, uuid, state, tell=True):
        self.domains[uuid]["state"] = state
        if tell:
            self.notify("domain.changed", uuid=uuid, state=state, event="test")

    def fault(self, method, code, times=1):
        """The next `times` calls of `method` are refused (None: all)."""
        self.faults.setdefault(method, []).append([code, times])

    def count(self, method, **params):
        return sum(1 for m, p in self.calls if m == method and all(p.get(k) == v for k, v in params.items()))

    def lose_dvm(self, session, tell=True):
        self.sessions[session]["dvm"] = "none"
        if tell:
            self.notify("dvm.lost", session=session, reason="crashed")

    def lose_relay(self, session, back=True):
        s = self.sessions[session]
        s["relay"], s["consoles"], s["displays"], s["gdbs"] = False, [], [], []
        self.notify("relay.lost", session=session, vm=None)
        if back:
            s["relay"] = True
            self.notify("relay.back", session=session, vm=None)

    # ---- the methods

    def handle(self, method, params):
        with self.lock:
            self.calls.append((method, params))
            queue = self.faults.get(method, [])
            code = None
            if queue:
                code, times = queue[0]
                if times is not None:
                    queue[0][1] -= 1
                    if queue[0][1] == 0:
                        queue.pop(0)
        time.sleep(self.delays.get(method, 0))
        if code:
            raise Fault(code)
        with self.lock:
            function = getattr(self, "do_" + method.replace(".", "_"), None)
            if not function:
                raise Fault("not-supported")
            return function(**params)

    def do_hello(self, protocol, program):
        return {"protocol": 1, "program": "dvm-hostd"}

    def do_host_info(self):
        return {"hypervisor": self.hypervisor, "memory_free_mib": self.memory_free_mib, "memory_total_mib": 8192,
                "vcpus": 4}

    def do_domain_list(self):
        domains = [dict(d, dvm_session=None) for d in self.domains.values()]
        domains += [{"uuid": "d" + s, "name": "dvm-" + s, "state": "running", "dvm_session": s}
                    for s, v in self.sessions.items() if v["dvm"] == "running"]
        return {"domains": domains}

    def find(self, domain):
        for d in self.domains.values():
            if domain in (d["uuid"], d["name"]):
                return d
        raise Fault("vm-gone")

    def do_domain_get(self, domain):
        return dict(self.find(domain), memory_mib=256, vcpus=1,
                    disks=[{"dev": "vda", "size_bytes": 1 << 30, "readonly": False, "kind": "disk"}],
                    consoles=[{"type": "pty", "usable": True}], graphics=["vnc"])

    def do_domain_power(self, domain, vm, verb, hold=False):
        d = self.find(domain)
        if verb == "on" and any(x["vm"] == vm for s in self.sessions.values() for x in s["disks"]):
            raise Fault("hypervisor-failed", "its disk is in use")
        d["state"] = {"on": "running", "off": "off", "shutdown": "off", "pause": "paused", "resume": "running"}.get(
            verb, d["state"])
        if hold and verb in ("on", "reset"):
            d["state"] = "paused"
        self.notify("domain.changed", uuid=d["uuid"], state=d["state"], event=verb)
        return {"state": d["state"]}

    def do_domain_screenshot(self, domain):
        self.find(domain)
        data = self.screen
        self.shots["p-1"] = data
        part = data[:self.part]
        return {"shot": "p-1", "size_bytes": len(data), "data": base64.b64encode(part).decode(), "eof": len(part) == len(data)}

    def do_screenshot_read(self, shot, offset):
        data = self.shots[shot]
        part = data[offset:offset + self.part]
        return {"data": base64.b64encode(part).decode(), "eof": offset + len(part) == len(data)}

    def do_domain_keys(self, domain, chords, hold_ms):
        if self.find(domain)["state"] != "running":
            raise Fault("vm-not-running")
        return {}

    def do_console_ensure(self, vm, domain, keep=True):
        self.consoles[vm] = {"vm": vm, "domain": domain, "up": True, "offset": 0, "keep": keep}
        return {"up": True, "offset": 0}

    def do_console_drop(self, vm):
        self.consoles.pop(vm, None)
        return {}

    def do_console_list(self):
        return {"consoles": list(self.consoles.values())}

    def do_image_list(self):
        return {"images": self.images}

    def do_image_verify(self, image):
        return {}

    def do_dvm_ensure(self, session, image, stacks, memory_mib, vcpus, boot_timeout_ms, agent):
        s = self.sessions.setdefault(session, {"dvm": "running", "relay": True, "agent": True, "disks": [],
                                               "consoles": [], "displays": [], "gdbs": [], "config": agent})
        s["dvm"], s["relay"] = "running", True
        self.notify("session.progress", session=session, step="booting", detail="")
        return {"image": IMAGE, "host_key": HOST_KEY}

    def do_dvm_config(self, session, agent):
        self.session(session)["config"] = agent
        return {}

    def session(self, session):
        if self.sessions.get(session, {}).get("dvm") != "running":
            raise Fault("dvm-lost")
        return self.sessions[session]

    def do_attach_console(self, session, vm, name, mode, record):
        s = self.session(session)
        if not s["relay"]:
            raise Fault("relay-lost")
        if vm not in self.consoles:
            raise Fault("not-attached")
        if vm not in s["consoles"]:
            s["consoles"].append(vm)
        s.setdefault("console_modes", {})[vm] = mode
        if record:
            self.recordings.setdefault(session, {}).setdefault(name, b'{"version": 2}\n')
        return {}

    def do_attach_vnc(self, session, vm, name, mode):
        s = self.session(session)
        if not s["relay"]:
            raise Fault("relay-lost")
        if vm not in self.consoles:
            raise Fault("not-attached")
        if vm not in s["displays"]:
            s["displays"].append(vm)
        s.setdefault("display_modes", {})[vm] = mode
        return {}

    def do_attach_gdb(self, session, vm, name, mode):
        s = self.session(session)
        if not s["relay"]:
            raise Fault("relay-lost")
        if vm not in self.consoles:
            raise Fault("not-attached")
        if vm not in s["gdbs"]:
            s["gdbs"].append(vm)
        s.setdefault("gdb_modes", {})[vm] = mode
        return {}

    def do_attach_disk(self, session, vm, domain, index, mode):
        s = self.session(session)
        if self.find(domain)["state"] != "off":
            raise Fault("vm-running")
        devices = [f"t{index}-vda"]
        if not any(x["vm"] == vm for x in s["disks"]):
            s["disks"].append({"vm": vm, "devices": devices})
        return {"devices": devices}

    def do_detach_disk(self, session, vm):
        s = self.sessions.get(session)
        if s:
            s["disks"] = [x for x in s["disks"] if x["vm"] != vm]
        return {}

    def do_attach_port(self, session, vm, domain, index, port, mode):
        s = self.session(session)
        if port == "serial3":
            raise Fault("console-unsupported")
        ports = s.setdefault("ports", [])
        if not any(x["vm"] == vm and x["port"] == port for x in ports):
            ports.append({"vm": vm, "port": port})
        s.setdefault("port_modes", {})[port] = mode
        return {"devices": [port.replace("serial", "ttyS").replace("parallel", "lp")]}

    def do_detach_port(self, session, vm, port):
        s = self.sessions.get(session)
        if s:
            s["ports"] = [x for x in s.get("ports", []) if (x["vm"], x["port"]) != (vm, port)]
        return {}

    def do_attach_memory(self, session, vm, domain, index):
        memories = self.session(session).setdefault("memories", [])
        if self.find(domain)["state"] == "off":
            raise Fault("vm-not-running")
        if vm not in memories:
            memories.append(vm)
        return {"devices": [f"t{index}-memory"]}

    def do_detach_memory(self, session, vm):
        s = self.sessions.get(session)
        if s:
            s["memories"] = [x for x in s.get("memories", []) if x != vm]
        return {}

    def do_session_release(self, session):
        self.sessions.pop(session, None)
        return {}

    def do_session_list(self):
        return {"sessions": [{"session": k, "dvm": v["dvm"], "relay": v["relay"], "agent": v["agent"],
                              "host_key": HOST_KEY, "disks": v["disks"], "consoles": v["consoles"], "displays": v.get("displays", []),
                              "gdbs": v.get("gdbs", []), "ports": v.get("ports", []), "memories": v.get("memories", [])}
                             for k, v in self.sessions.items()]}

    def do_stream_grant(self, relay, ticket, service, mode, raw, ttl_ms):
        self.grants.append({"relay": relay, "ticket": ticket, "service": service, "mode": mode, "raw": raw})
        return {"path": f"relay/{relay}/stream.sock"}

    def do_console_get(self, vm):
        recordings = self.recordings.get(vm, {})
        return {"up": vm in self.consoles, "offset": 0, "history": {
            "bytes": sum(map(len, recordings.values())), "since": "2026-11-23T09:13:00.000Z" if recordings else None,
            "stopped": self.history_stopped}}

    def do_recording_list(self, session=None, vm=None):
        if vm:
            return {"recordings": [{"name": n, "size_bytes": len(d), "format": "asciicast-v2", "begun": "2026-11-23T09:13:00.000Z"}
                                   for n, d in self.recordings.get(vm, {}).items()]}
        return {"recordings": [{"name": n, "size_bytes": len(d), "format": "asciicast-v2"}
                               for n, d in self.recordings.get(session, {}).items()]}

    def do_recording_read(self, name, offset, length, session=None, vm=None):
        data = self.recordings.get(session or vm, {}).get(name)
        if data is None:
            raise Fault("not-found", f"there is no recording {name}")
        part = data[offset:offset + length]
        return {"data": base64.b64encode(part).decode(), "size_bytes": len(data), "eof": offset + len(part) >= len(data)}

    def do_recording_remove(self, session):
        self.recordings.pop(session, None)
        return {}
