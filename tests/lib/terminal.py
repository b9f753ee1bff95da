# SPDX-License-Identifier: Apache-2.0
"""A program on a terminal of its own."""

import contextlib
import os
import pty
import select
import subprocess
import time


class Terminal:
    def __init__(self, argv, env):
        self.master, slave = pty.openpty()
        self.out = b""
        self.process = subprocess.Popen(argv, env=dict(env, TERM="xterm"), stdin=slave, stdout=slave, stderr=slave,
                                        start_new_session=True)
        os.close(slave)

    def wait(self, text, seconds=60):
        end = time.monotonic() + seconds
        while text not in self.out:
            ready, _, _ = select.select([self.master], [], [], max(0, end - time.monotonic()))
            assert ready, f"{text} did not come: {self.out}"
            try:
                self.out += os.read(self.master, 65536)
            except OSError as e:
                raise AssertionError(f"{text} did not come: {self.out}") from e

    def type(self, keys):
        os.write(self.master, keys)

    def end(self, seconds=60):
        """Reads to the end and returns the exit status."""
        end = time.monotonic() + seconds
        with contextlib.suppress(OSError):
            while True:
                ready, _, _ = select.select([self.master], [], [], max(0, end - time.monotonic()))
                if not ready:
                    self.process.kill()
                    raise AssertionError(f"it did not end: {self.out}")
                self.out += os.read(self.master, 65536)
        os.close(self.master)
        return self.process.wait(60)
