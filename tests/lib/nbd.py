# SPDX-License-Identifier: Apache-2.0
"""A client of NBD (fixed newstyle, simple replies) that also asks for what it should not."""

import socket
import struct

EIO, EINVAL, EPERM, EOVERFLOW = 5, 22, 1, 75
READ, WRITE, DISCONNECT, TRIM = 0, 1, 2, 4
READ_ONLY = 2


class Error(Exception):
    def __init__(self, number):
        super().__init__(number)
        self.number = number


class Client:
    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(str(path))
        assert self.take(16) == b"NBDMAGICIHAVEOPT"
        assert self.take(2)
        self.sock.sendall(struct.pack(">I", 3))
        body = struct.pack(">I", 0) + struct.pack(">H", 0)
        self.sock.sendall(b"IHAVEOPT" + struct.pack(">II", 7, len(body)) + body)  # NBD_OPT_GO
        while True:
            magic, option, kind, length = struct.unpack(">QIII", self.take(20))
            data = self.take(length)
            assert magic == 0x3E889045565A9 and option == 7
            if kind == 1:
                break
            assert kind == 3, f"refused: {kind:x} {data}"
            if struct.unpack(">H", data[:2])[0] == 0:
                self.size, self.flags = struct.unpack(">QH", data[2:])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def take(self, n):
        data = b""
        while len(data) < n:
            piece = self.sock.recv(n - len(data))
            if not piece:
                raise ConnectionError("the server has hung up")
            data += piece
        return data

    def ask(self, kind, offset, length, data=b""):
        self.sock.sendall(struct.pack(">IHHQQI", 0x25609513, 0, kind, 7, offset, length) + data)
        magic, error, cookie = struct.unpack(">IIQ", self.take(16))
        assert magic == 0x67446698 and cookie == 7
        if error:
            raise Error(error)
        return self.take(length) if kind == READ else b""

    def read(self, offset, length):
        return self.ask(READ, offset, length)
