# SPDX-License-Identifier: Apache-2.0
"""The frames of PROTOCOL.host, for tests that speak to dvm-hostd, dvm-fakevirt or a relay themselves."""

import array
import json
import queue
import socket
import struct
import threading


class Fault(Exception):
    def __init__(self, fault):
        self.code = fault["code"]
        self.message = fault["message"]
        self.hint = fault.get("hint", "")
        super().__init__(f"{self.code}: {self.message}")


class Peer:
    """One connection. Calls from the other side go to `methods` (name -> function of params)."""

    def __init__(self, path, program="test", hello=True, methods=None):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(str(path))
        self.notices = []
        self.methods = methods or {}
        self.lock = threading.Lock()
        self.changed = threading.Condition()
        self.answers = {}
        self.next_id = 0
        self.closed = False
        threading.Thread(target=self._read, daemon=True).start()
        if hello:
            self.call("hello", protocol=1, program=program)

    def close(self):
        self.closed = True
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()

    def _send(self, message, fds=()):
        body = json.dumps(message).encode()
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        with self.lock:
            frame = struct.pack(">I", len(body)) + body
            sent = self.socket.sendmsg([frame], ancillary)
            if sent < len(frame): # else the peer may already have died of it
                self.socket.sendall(frame[sent:])

    def _read(self):
        try:
            stream = self.socket.makefile("rb")
            while True:
                head = stream.read(4)
                if len(head) < 4:
                    break
                message = json.loads(stream.read(struct.unpack(">I", head)[0]))
                if "method" in message and "id" in message:
                    threading.Thread(target=self._serve, args=(message,), daemon=True).start()
                    continue
                with self.changed:
                    if "method" in message:
                        self.notices.append((message["method"], message["params"]))
                    else:
                        answer = self.answers.get(message["id"])
                        if answer:
                            answer.put(message)
                    self.changed.notify_all()
        except (OSError, ValueError):
            pass
        with self.changed:
            self.closed = True
            for answer in self.answers.values():
                answer.put({"fault": {"code": "host-away", "message": "connection ended"}})
            self.changed.notify_all()

    def _serve(self, message):
        function = self.methods.get(message["method"])
        try:
            if not function:
                raise Fault({"code": "not-supported", "message": message["method"]})
            self._send({"id": message["id"], "result": function(message["params"]) or {}})
        except Fault as fault:
            self._send({"id": message["id"], "fault": {"code": fault.code, "message": fault.message, "hint": ""}})

    def start(self, method, /, fds=(), **params):
        """Begins a call; finish() waits for its answer."""
        with self.changed:
            self.next_id += 1
            number = self.next_id
            self.answers[number] = queue.Queue()
        self._send({"id": number, "method": method, "params": params}, fds)
        return number

    def finish(self, number, timeout=120):
        message = self.answers[number].get(timeout=timeout)
        del self.answers[number]
        if "fault" in message:
            raise Fault(message["fault"])
        return message["result"]

    def call(self, method, /, fds=(), timeout=120, **params):
        return self.finish(self.start(method, fds, **params), timeout)

    def wait_notice(self, method, timeout=30, **members):
        """Takes the first notice of that name with those members out of the list."""

        def find():
            for i, (name, params) in enumerate(self.notices):
                if name == method and all(params.get(k) == v for k, v in members.items()):
                    return i
            return None

        with self.changed:
            if not self.changed.wait_for(lambda: find() is not None, timeout):
                raise AssertionError(f"no notice {method} {members}; there were {self.notices}")
            return self.notices.pop(find())[1]
