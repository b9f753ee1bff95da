# SPDX-License-Identifier: Apache-2.0
"""The SSH door as users meet it: accounts of this test's host only, keys, and OpenSSH's client with nothing of dvm's."""

import contextlib
import os
import pathlib
import shutil
import subprocess
import tempfile
import urllib.parse

import dvmtest

UID = 4343
FOLDER = pathlib.Path("/run/dvm-door-test")  # root's alone to write, as sshd wants it


@contextlib.contextmanager
def account(name="dvm"):
    """An account as README.md says to make it; /etc of the test's host only. Gives the folder with the installed programs."""
    assert os.getuid() == 0, "this test makes an account and needs root for it"
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(mode=0o755)
    mounted = []
    lines = {"passwd": f"{name}:x:{UID}:{UID}::/:/bin/sh\n", "group": f"{name}:x:{UID}:\n", "shadow": f"{name}:*:19000::::::\n"}
    for file, line in lines.items():
        copy = FOLDER / file
        copy.write_text(pathlib.Path("/etc", file).read_text() + line)
        copy.chmod(0o644 if file != "shadow" else 0o600)
        subprocess.run(["mount", "--bind", copy, f"/etc/{file}"], check=True)
        mounted.append(f"/etc/{file}")
    try:
        shutil.copytree(dvmtest.STAGE, FOLDER / "stage", symlinks=True)
        subprocess.run(["chown", "-R", "0:0", FOLDER / "stage"], check=True)
        subprocess.run(["chmod", "-R", "go-w,go+rX", FOLDER / "stage"], check=True)
        yield FOLDER / "stage"
    finally:
        for mount in mounted:
            subprocess.run(["umount", mount], check=True)
        shutil.rmtree(FOLDER, ignore_errors=True)


class User:
    """Somebody with a key, and ssh."""

    def __init__(self, cloud, kind="ed25519"):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="dvm-ssh-", dir="/tmp"))
        self.key = self.home / "key"
        dvmtest.run("ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "me@laptop", "-f", self.key)
        url = urllib.parse.urlsplit(cloud.env["DVM_SSH"])
        self.gate, self.port = f"{url.username}@{url.hostname}", url.port
        known = self.home / "known"
        known.write_text(f"[{url.hostname}]:{url.port} {cloud.env['DVM_SSH_HOST_KEY']}\n")
        self.options = ["-F", "none", "-i", str(self.key), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
                        "-o", f"UserKnownHostsFile={known}", "-o", "StrictHostKeyChecking=yes", "-p", str(self.port)]
        # The agent's socket is never there: what a test forwards must be refused by the other side.
        self.env = {"PATH": os.environ["PATH"], "HOME": str(self.home), "LC_ALL": "C.UTF-8"}

    def public(self):
        return self.home / "key.pub"

    def argv(self, *words, options=()):
        return ["ssh", *self.options, *options, self.gate, *words]

    def ssh(self, *words, options=(), check=True, timeout=90, **more):
        return dvmtest.run(*self.argv(*words, options=options), env=self.env, check=check, timeout=timeout, **more)

    def proxy(self):
        """For ProxyCommand."""
        return " ".join(self.argv("proxy", "%h"))

    def inner(self, session, *words, options=(), **more):
        """ssh to the D-VM, through the door."""
        return dvmtest.run(*self.inner_argv(session, *words, options=options), env=self.env, **more)

    def inner_argv(self, session, *words, options=()):
        return ["ssh", "-F", "none", "-i", str(self.key), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
                "-o", f"ProxyCommand={self.proxy()}", *options, f"root@{session}.dvm", *words]
