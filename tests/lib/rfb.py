# SPDX-License-Identifier: Apache-2.0
"""A small viewer, after RFC 6143: raw pictures, keys, pointer."""

import socket
import struct


class Viewer:
    """Speaks over anything with sendall() and recv(); raises EOFError when the display has gone."""

    def __init__(self, sock, version="003.008"):
        self.sock = sock
        assert self.read(12) == b"RFB 003.008\n"
        sock.sendall(f"RFB {version}\n".encode())
        if version in ("003.003", "003.005"):
            assert self.read(4) == b"\0\0\0\1"
        else:
            assert self.read(2) == b"\1\1", "security: none, and nothing else"
            sock.sendall(b"\1")
            if version == "003.008":
                assert self.read(4) == b"\0\0\0\0"
        sock.sendall(b"\0")  # would like to be alone
        self.width, self.height = struct.unpack(">HH", self.read(4))
        self.format = self.read(16)
        self.name = self.read(struct.unpack(">I", self.read(4))[0]).decode()

    def read(self, n):
        data = b""
        while len(data) < n:
            more = self.sock.recv(n - len(data))
            if not more:
                raise EOFError("the display has gone")
            data += more
        return data

    def encodings(self, *numbers):
        self.sock.sendall(struct.pack(">BxH", 2, len(numbers)) + b"".join(struct.pack(">i", n) for n in numbers))

    def pixels32(self):
        """Four bytes a pixel: blue, green, red, nothing."""
        self.sock.sendall(b"\0\0\0\0" + struct.pack(">BBBBHHHBBB3x", 32, 24, 0, 1, 255, 255, 255, 16, 8, 0))

    def request(self, incremental=False):
        self.sock.sendall(struct.pack(">BBHHHH", 3, incremental, 0, 0, self.width, self.height))

    def key(self, keysym):
        for down in (1, 0):
            self.sock.sendall(struct.pack(">BBxxI", 4, down, keysym))

    def pointer(self, x, y, buttons=0):
        self.sock.sendall(struct.pack(">BBHH", 5, buttons, x, y))

    def cut_text(self, text):
        self.sock.sendall(struct.pack(">BxxxI", 6, len(text)) + text)

    def update(self):
        """The next update's rectangles: [(x, y, width, height, encoding, bytes)]."""
        while (kind := self.read(1)[0]) != 0:
            assert kind == 2, f"message {kind}"  # a bell
        (count,) = struct.unpack(">xH", self.read(3))
        rectangles = []
        for _ in range(count):
            x, y, w, h, encoding = struct.unpack(">HHHHi", self.read(12))
            if encoding == -223:
                self.width, self.height = w, h
                rectangles.append((x, y, w, h, encoding, b""))
                continue
            assert encoding == 0, f"encoding {encoding}"
            rectangles.append((x, y, w, h, encoding, self.read(w * h * 4)))
        return rectangles

    def picture(self):
        """The whole screen, as {(x, y): pixel} would be too much: its bytes, row by row."""
        self.pixels32()
        self.encodings(0, -223)
        self.request()
        screen = bytearray(self.width * self.height * 4)
        done = 0
        while done < self.width * self.height:
            for x, y, w, h, encoding, data in self.update():
                if encoding == -223:
                    screen, done = bytearray(w * h * 4), 0
                    self.request()
                    continue
                for row in range(h):
                    at = ((y + row) * self.width + x) * 4
                    screen[at : at + w * 4] = data[row * w * 4 : (row + 1) * w * 4]
                done += w * h
        return bytes(screen)

    def close(self):
        self.sock.close()


def connect(host, port, timeout=60):
    sock = socket.create_connection((host, port), timeout=timeout)
    return Viewer(sock)
