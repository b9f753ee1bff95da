# SPDX-License-Identifier: Apache-2.0
"""A browser without a screen: chromium by its WebDriver, with a page of the test's own from the loopback."""

import functools
import http.server
import json
import pathlib
import shutil
import socket
import subprocess
import tempfile
import threading
import urllib.request

import dvmtest

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--ignore-certificate-errors",
]


class Quiet(http.server.SimpleHTTPRequestHandler):
    extensions_map = {**http.server.SimpleHTTPRequestHandler.extensions_map, ".js": "text/javascript"}

    def log_message(self, *_):
        pass


class Browser:
    """A context manager; `folder` is what its pages come from."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="dvm-browser-", dir="/tmp"))
        (self.folder / "www").mkdir()
        handler = functools.partial(Quiet, directory=self.folder / "www")
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.driver = subprocess.Popen(
            ["chromedriver", f"--port={self.port}"], stdout=subprocess.DEVNULL, env={"HOME": str(self.folder), "PATH": "/usr/bin:/bin"})
        self.session = None

    def __enter__(self):
        try:
            dvmtest.wait_for(self.ready, "chromedriver")
            options = {"args": [*FLAGS, f"--user-data-dir={self.folder}/profile"]}
            capabilities = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}}
            self.session = self.ask("POST", "/session", capabilities)["sessionId"]
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.session:
            self.ask("DELETE", f"/session/{self.session}")
        self.driver.terminate()
        self.driver.wait(30)
        self.server.shutdown()
        self.server.server_close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def ready(self):
        try:
            return self.ask("GET", "/status")["ready"]
        except OSError:
            return False

    def ask(self, method, path, body=None):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", method=method, data=json.dumps(body).encode() if body is not None else None)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=120) as answer:
            return json.load(answer)["value"]

    def page(self, name, text):
        """Opens a page with this text."""
        (self.folder / "www" / name).write_text(text)
        self.ask("POST", f"/session/{self.session}/url", {"url": f"http://127.0.0.1:{self.server.server_port}/{name}"})

    def run(self, script, *args):
        """The value of a function's body."""
        return self.ask("POST", f"/session/{self.session}/execute/sync", {"script": script, "args": list(args)})
