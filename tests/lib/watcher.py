# SPDX-License-Identifier: Apache-2.0
"""A command of dvm that runs on beside a test."""

import contextlib
import signal
import subprocess
import tempfile
import threading

from dvmtest import wait_for


class Watcher:
    """A command that runs on beside the test; its output is read as it comes, unless `reads` is False."""

    def __init__(self, cloud, *argv, reads=True, stdin=subprocess.DEVNULL):
        self.words = tempfile.TemporaryFile()
        self.process = cloud.popen(*argv, stdin=stdin, stdout=subprocess.PIPE, stderr=self.words)
        self.said = b""
        self.thread = threading.Thread(target=self._read, daemon=True)
        if reads:
            self.thread.start()

    def _read(self):
        while piece := self.process.stdout.read1(65536):
            self.said += piece

    @property
    def out(self):
        return self.said.decode(errors="replace")

    @property
    def err(self):
        with open(f"/proc/self/fd/{self.words.fileno()}", "rb") as words:
            return words.read().decode(errors="replace")

    def type(self, text):
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def wait(self, text, seconds=90):
        wait_for(lambda: text in self.out or self.process.poll() is not None, f"{text!r} after {self.out[-300:]!r}", seconds)
        assert text in self.out, (self.out[-300:], self.err)

    def wait_words(self, text, seconds=60):
        wait_for(lambda: text in self.err, f"{text!r} on stderr", seconds)

    def end(self):
        """Whatever it still says until its own end."""
        status = self.process.wait(timeout=120)
        self.thread.join()
        return status

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        if self.process.stdin:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
        if not self.thread.ident:
            self.process.stdout.close()
        self.process.wait(timeout=60)
        self.words.close()
