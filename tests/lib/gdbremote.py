# SPDX-License-Identifier: Apache-2.0
"""gdb's remote protocol, as a gdb speaks it, on a socket."""


class Gdb:
    def __init__(self, sock, start=True):
        self.sock, self.data = sock, b""
        if start:
            assert "QStartNoAckMode+" in self.ask("qSupported:swbreak+;hwbreak+")
            assert self.ask("QStartNoAckMode") == "OK"

    def put(self, body):
        body = body.encode() if isinstance(body, str) else body
        self.sock.sendall(b"$%s#%02x" % (body, sum(body) & 255))

    def more(self):
        data = self.sock.recv(65536)
        if not data:
            raise EOFError("the stub is gone")
        self.data += data

    def get(self):
        """The body of the next packet."""
        while True:
            start = self.data.find(b"$")
            end = self.data.find(b"#", start) if start >= 0 else -1
            if end >= 0 and len(self.data) >= end + 3:
                body, told = self.data[start + 1:end], int(self.data[end + 1:end + 3], 16)
                assert sum(body) & 255 == told
                self.data = self.data[end + 3:]
                return body.decode("latin-1")
            self.more()

    def ask(self, body):
        self.put(body)
        return self.get()

    def memory(self, address, size):
        """Bytes, in as many reads as it takes."""
        out = b""
        while len(out) < size:
            answer = self.ask(f"m{address + len(out):x},{size - len(out):x}")
            if answer.startswith("E"):
                raise AssertionError(answer)
            out += bytes.fromhex(answer)
        return out

    def interrupt(self):
        self.sock.sendall(b"\x03")

    def gone(self):
        try:
            while True:
                self.more()
        except (EOFError, ConnectionError):
            return True

    def close(self):
        self.sock.close()
