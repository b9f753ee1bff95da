# SPDX-License-Identifier: Apache-2.0
"""A dvmd of the test's own: started, asked over its unix socket, killed, started again."""
import os
import pathlib
import signal
import socket
import subprocess
import time

from openapi_check import DvmClient

TREE = pathlib.Path(__file__).resolve().parents[3]
BUILD = pathlib.Path(os.environ.get("DVM_BUILD", TREE / "build"))
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHRoaXMgaXMgbm9ib2R5J3Mga2V5LCBidXQgYSBrZXku user"


class Problem(Exception):
    def __init__(self, status, body):
        super().__init__(f"{status} {body}")
        self.status, self.body, self.code = status, body, body.get("code")


def wait_for(condition, timeout=30, what="it"):
    """The condition's first true value."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.02)


class Dvmd:
    def __init__(self, state):
        self.state, self.process = pathlib.Path(state), None
        self.run = self.state / "run"
        self.log = self.state / "dvmd.log"
        self.failpoints = self.state / "failpoints"
        self.token = None

    def command(self, *arguments, **options):
        return subprocess.run([BUILD / "src/dvmd/dvmd", "--state", self.state, *arguments], text=True,
                              capture_output=True, timeout=60, **options)

    def bootstrap(self):
        done = self.command("--bootstrap-token")
        assert done.returncode == 0, done.stderr
        self.token = done.stdout.strip()
        return self

    def configure(self, text):
        (self.state / "dvm.ini").write_text(text)
        return self

    def start(self, wait=True, **environment):
        notify = self.state / "notify.sock"
        notify.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready, open(self.log, "ab") as log:
            ready.bind(str(notify))
            ready.settimeout(30)
            self.process = subprocess.Popen(
                [BUILD / "src/dvmd/dvmd", "--state", self.state], stderr=log,
                env=dict(os.environ, NOTIFY_SOCKET=str(notify), DVM_FAILPOINT_FILE=str(self.failpoints),
                         DVM_LOG="debug", **environment))
            if wait:
                while b"READY=1" not in ready.recv(4096):
                    pass
        return self

    def arm(self, *entries):
        temporary = self.failpoints.with_suffix(".new")
        temporary.write_text("\n".join(entries))
        temporary.rename(self.failpoints)

    def disarm(self):
        self.failpoints.unlink(missing_ok=True)

    def kill(self):
        self.process.kill()
        self.process.wait(30)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            assert self.process.wait(30) == 0, self.log.read_text()

    def wait_killed(self):
        assert self.process.wait(30) == -signal.SIGKILL, self.log.read_text()

    def request(self, method, path, body=None, token=None, **headers):
        """(status, answer), held against interfaces/openapi.yaml; refusals too."""
        client = DvmClient(self.run / "api.sock", token or self.token)
        answer = client.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
        return answer.status, answer.json

    def ask(self, method, path, body=None, **options):
        """The answer; a refusal raises Problem."""
        status, answer = self.request(method, path, body, **options)
        if status >= 400:
            raise Problem(status, answer)
        return answer

    # ---- what tests do all the time

    def adopt(self, domain, **options):
        return self.ask("POST", "/v1/vms", {"domain": domain}, **options)["id"]

    def create(self, *targets, **body):
        return self.ask("POST", "/v1/sessions", dict({"targets": list(targets), "ssh_key": KEY}, **body))["id"]

    def session(self, session):
        return self.ask("GET", f"/v1/sessions/{session}")

    def wait_state(self, session, *states, timeout=30):
        def there():
            row = self.session(session)
            return row if row["state"] in states else None
        return wait_for(there, timeout, f"{session} to be {states}")

    def end(self, session):
        return self.ask("DELETE", f"/v1/sessions/{session}")
