# SPDX-License-Identifier: Apache-2.0
"""What integration and VM tests share: a dvm of their own from `dvm up` to `dvm down`, and a look at what was left."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("DVM_BUILD", ROOT / "build"))
STAGE = BUILD / "stage"
LIBEXEC = STAGE / "lib" / "dvm"
DVM = STAGE / "bin" / "dvm"
IMAGES = BUILD / "images"  # D-VM images and targets, made once a build folder
PROGRAMS = ("dvmd", "dvm-hostd", "dvm-gate", "dvm-door", "dvm-relay", "dvm-fakevirt", "dvm-agent", "nbdkit")


def images_for_everyone():
    """The D-VM's image where emulators' users can read it, whatever folder the tree stands in; tests/images/all made it."""
    here = pathlib.Path("/tmp/dvm-images")
    if not here.exists():
        shutil.copytree(IMAGES, here, symlinks=True, ignore=shutil.ignore_patterns(".cache", ".build-*"))
    return here


class CommandFailed(AssertionError):
    def __init__(self, argv, result):
        self.result = result
        super().__init__(
            f"{' '.join(map(str, argv))}: exit status {result.returncode}\n"
            f"--- stdout\n{result.stdout}\n--- stderr\n{result.stderr}"
        )


def run(*argv, env=None, check=True, timeout=120, input=None, cwd=None):
    result = subprocess.run(
        [str(a) for a in argv],
        env=env,
        input=input,
        cwd=cwd,
        timeout=timeout,
        text=True,
        errors="replace",
        capture_output=True,
    )
    if check and result.returncode:
        raise CommandFailed(argv, result)
    return result


def wait_for(condition, what, seconds=60, step=0.05):
    """Polls until condition() is true and returns its value. The limit only bounds a hang; it is not asserted on."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"gave up waiting for {what}")
        time.sleep(step)


def processes(state=None):
    """{pid: command line} of our programs, of those that name `state` if given."""
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            argv = (entry / "cmdline").read_bytes().split(b"\0")
            if not argv or not argv[0]:
                continue
            name = os.path.basename(argv[0].decode(errors="replace"))
            line = b" ".join(argv).decode(errors="replace").strip()
            if name in PROGRAMS and (state is None or owns(entry, line, state)):
                found[int(entry.name)] = line
    return found


def owns(entry, line, state):
    """Named on the command line, or with a file below `state` open: relays are told no path."""
    if str(state) in line:
        return True
    with contextlib.suppress(OSError):
        return any(os.readlink(fd).startswith(f"{state}/") for fd in (entry / "fd").iterdir())
    return False


def lock_owner(path):
    """The pid that holds the lock on a file, or None."""
    with contextlib.suppress(OSError):
        inode = path.stat().st_ino
        for line in pathlib.Path("/proc/locks").read_text().splitlines():
            words = line.split()
            if "->" not in words and int(words[5].split(":")[2]) == inode:
                return int(words[4])
    return None


class Cloud:
    """One dvm on one machine. Use as a context manager; `up()` again after `down()` keeps the state folder."""

    def __init__(self, uri=None, images=None, config=None, state=None, env=None, stage=STAGE, options=()):
        self.state = pathlib.Path(state or tempfile.mkdtemp(prefix="dvm-t-", dir="/tmp"))
        self.own_state = state is None
        self.uri = uri
        self.program, self.libexec, self.options = stage / "bin/dvm", stage / "lib/dvm", options
        self.extra_env = dict(env or {})
        self.env = None
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="dvm-home-", dir="/tmp"))
        self.state.mkdir(parents=True, exist_ok=True)
        # D-VMs that wait are for tests that are about them: they would be in the way of what others count.
        if "pool-" not in (config or ""):
            config = f"{config or ''}\n[dvm]\npool-min = 0\npool-max = 0\n"
        (self.state / "dvm.ini").write_text(config)
        if images and not (self.state / "images").exists():
            (self.state / "images").symlink_to(images)

    def base_env(self):
        env = dict(os.environ)
        env.update(DVM_LIBEXEC=str(self.libexec), HOME=str(self.home), XDG_CONFIG_HOME=str(self.home / ".config"))
        env.update(self.extra_env)
        return env

    def up(self):
        argv = [self.program, "up", "--detach", "--state", self.state, *self.options]
        if self.uri:
            argv += ["--uri", self.uri]
        result = run(*argv, env=self.base_env(), timeout=180)
        self.env = self.base_env()
        for line in result.stdout.splitlines():
            line = line.removeprefix("export ").rstrip(";")
            if "=" in line:
                key, value = line.split("=", 1)
                self.env[key] = value.strip("'\"")
        return self

    def down(self, *args):
        return run(self.program, "down", "--state", self.state, *args, env=self.base_env(), timeout=180)

    def __enter__(self):
        return self.up()

    def __exit__(self, exc_type, exc, tb):
        try:
            if exc_type:
                self.show_logs()
            self.down()
            if not exc_type:
                self.assert_clean()
        finally:
            shutil.rmtree(self.home, ignore_errors=True)
            if self.own_state and (not exc_type or os.environ.get("CI")):
                shutil.rmtree(self.state, ignore_errors=True)

    def show_logs(self):
        for log in sorted((self.state / "log").glob("*.log")):
            print(f"--- {log.name}")
            print("".join(log.read_text(errors="replace").splitlines(keepends=True)[-60:]))

    # -- the command line

    def dvm(self, *args, check=True, timeout=180, input=None):
        return run(self.program, *args, env=self.env, check=check, timeout=timeout, input=input)

    def json(self, *args, **kw):
        return json.loads(self.dvm(*args, "--json", **kw).stdout)

    def popen(self, *args, **kw):
        return subprocess.Popen([str(self.program), *map(str, args)], env=self.env, **kw)

    # -- our own programs

    def pid(self, program):
        """The pid that holds the program's lock, or None."""
        return lock_owner(self.state / "run" / f"{program}.lock")

    def relay_pid(self, name):
        """The pid of a session's relay (its id) or of a kept console's (the VM's id), or None."""
        return lock_owner(self.state / "run/relay" / name / "pid")

    def kill(self, program, sig=signal.SIGKILL):
        pid = wait_for(lambda: self.pid(program), f"{program} to run")
        os.kill(pid, sig)
        wait_for(lambda: self.pid(program) != pid, f"{program} {pid} to die")
        return pid

    def kill_relay(self, name):
        """SIGKILL, and waits until another one is in its place."""
        pid = wait_for(lambda: self.relay_pid(name), f"the relay {name} to run")
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: self.relay_pid(name) not in (None, pid), f"the relay {name} to be started again")

    # -- what must not be left

    def leftovers(self):
        left = [f"process {pid}: {line}" for pid, line in processes(self.state).items()]
        run_dir = self.state / "run"
        for path in sorted(run_dir.rglob("*")) if run_dir.exists() else []:
            if path.is_socket():
                left.append(f"socket {path.relative_to(self.state)}")
        for folder in ("run/relay", "run/dvm"):
            path = self.state / folder
            if path.exists():
                left += [f"folder {p.relative_to(self.state)}" for p in path.iterdir()]
        for path in self.state.rglob("*.tmp*"):
            left.append(f"temporary file {path.relative_to(self.state)}")
        return left

    def assert_clean(self):
        left = self.leftovers()
        assert not left, "left behind: " + "; ".join(left)
