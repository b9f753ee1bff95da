# SPDX-License-Identifier: Apache-2.0
"""What dvm-relay is held against: each makes streams, of which the benchmark holds both ends."""

import base64
import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import time

import bench
import relay

ALL_CPUS = os.sched_getaffinity(0)


def wait_for(condition, what, timeout=20):
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.02)


class Peer:
    ws = False

    def __init__(self, folder):
        self.folder = pathlib.Path(folder) / self.name.replace(" ", "-")
        self.processes = []
        self.sets = {}

    def start(self):
        pass

    def run(self, *command, **how):
        process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL,
                                   start_new_session=True, **how)
        self.processes.append(process)
        return process

    def streams(self, count):
        """`count` streams, made once."""
        if count not in self.sets:
            self.sets[count] = [self.stream() for _ in range(count)]
        return self.sets[count]

    def pids(self):
        """Its processes and their children."""
        found = [p.pid for p in self.processes]
        for pid in found:
            with contextlib.suppress(OSError):
                for task in os.listdir(f"/proc/{pid}/task"):
                    found += [int(p) for p in pathlib.Path(f"/proc/{pid}/task/{task}/children").read_text().split()]
        return found

    def pin(self, cpus):
        for pid in self.pids():
            with contextlib.suppress(OSError):
                for task in os.listdir(f"/proc/{pid}/task"):
                    os.sched_setaffinity(int(task), cpus)

    def cpu(self):
        total = 0.0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                total += relay.cpu_seconds(pid)
        return total

    def stop(self):
        for streams in self.sets.values():
            for stream in streams:
                for end in stream:
                    end.close()
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, 15)
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                process.wait()


class Direct(Peer):
    name = "socket pair"

    def stream(self):
        return socket.socketpair()


class Splice(Peer):
    """The smallest relay that there can be."""

    name = "minimal splice relay"

    def streams(self, count):
        if count not in self.sets:
            self.sets[count], inside = [], []
            for _ in range(count):
                near, a = socket.socketpair()
                far, b = socket.socketpair()
                self.sets[count].append((near, far))
                inside += [a, b]
            fds = [end.fileno() for end in inside]
            self.run(bench.BUILD / "tests/bench/splice_relay", *fds, pass_fds=fds)
            for end in inside:
                end.close()
        return self.sets[count]


class Dvm(Peer):
    """dvm-relay as it runs: behind its walls, a ticket for each stream."""

    name = "dvm-relay"

    def start(self):
        self.relay = relay.Relay(self.folder, "s-bench")
        self.made = 0

    def stream(self):
        self.made += 1
        return self.relay.pipe(f"p{self.made}")

    def pids(self):
        return [self.relay.pid]

    def stop(self):
        super().stop()
        self.relay.stop()


class Listening(Peer):
    """Listens at one unix socket and connects to another, where the far ends come from."""

    def __init__(self, folder):
        super().__init__(folder)
        self.folder.mkdir()
        os.chmod(self.folder, 0o755)
        self.near_path, self.far_path = str(self.folder / "near"), str(self.folder / "far")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.far_path)
        os.chmod(self.far_path, 0o777)
        self.listener.listen(128)
        self.listener.settimeout(20)

    def listens(self):
        wait_for(lambda: os.path.exists(self.near_path), f"{self.name} does not listen")

    def connect(self):
        near = socket.socket(socket.AF_UNIX)
        near.connect(self.near_path)
        return near

    def stream(self):
        near = self.connect()
        far, _ = self.listener.accept()
        return near, far

    def stop(self):
        super().stop()
        self.listener.close()


class Socat(Listening):
    name = "socat"

    def start(self):
        self.run("socat", "-b65536", f"UNIX-LISTEN:{self.near_path},fork,backlog=128", f"UNIX-CONNECT:{self.far_path}")
        self.listens()


class Nginx(Listening):
    name = "nginx stream"

    def start(self):
        config = self.folder / "nginx.conf"
        config.write_text(f"""
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off; worker_processes 1; pid {self.folder}/pid; error_log {self.folder}/log crit; user root;
events {{ worker_connections 4096; }}
stream {{ server {{ listen unix:{self.near_path}; proxy_pass unix:{self.far_path}; proxy_buffer_size 64k; }} }}
""")
        self.run("nginx", "-p", self.folder, "-c", config, "-e", self.folder / "log")
        self.listens()


class Haproxy(Listening):
    name = "HAProxy"

    def start(self):
        config = self.folder / "haproxy.cfg"
        config.write_text(f"""
global
    nbthread 1
    maxconn 4096
    tune.bufsize 65536
defaults
    mode tcp
    option splice-auto
    timeout connect 10s
    timeout client 1h
    timeout server 1h
listen bench
    bind unix@{self.near_path}
    server far unix@{self.far_path}
""")
        self.run("haproxy", "-db", "-f", config)
        self.listens()


class Ssh(Listening):
    """`ssh -L`, from unix socket to unix socket, one connection for all streams."""

    name = "ssh -L"

    def start(self):
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
        for key in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.folder / key], check=True)
        shutil.copy(self.folder / "user.pub", self.folder / "authorized_keys")
        sshd = self.folder / "sshd.conf"
        sshd.write_text(f"""
Port 2222
ListenAddress 127.0.0.1
HostKey {self.folder}/host
AuthorizedKeysFile {self.folder}/authorized_keys
PermitRootLogin yes
StrictModes no
UsePAM no
PidFile none
""")
        self.run("/usr/sbin/sshd", "-D", "-q", "-f", sshd)
        wait_for(lambda: self._answers(2222), "sshd does not listen")
        self.run("ssh", "-F", "none", "-N", "-q", "-p", "2222", "-i", self.folder / "user", "-o", "BatchMode=yes",
                 "-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={self.folder}/known", "-o",
                 "ExitOnForwardFailure=yes", "-L", f"{self.near_path}:{self.far_path}", "127.0.0.1")
        self.listens()

    @staticmethod
    def _answers(port):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return False


class Websockify(Listening):
    name = "websockify"
    ws = True

    def start(self):
        self.run("websockify", "127.0.0.1:2280", f"--unix-target={self.far_path}", stdout=subprocess.DEVNULL,
                 stderr=subprocess.DEVNULL)
        wait_for(lambda: Ssh._answers(2280), "websockify does not listen")

    def connect(self):
        near = socket.create_connection(("127.0.0.1", 2280))
        near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        key = base64.b64encode(os.urandom(16)).decode()
        near.sendall(f"GET / HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
                     f"Sec-WebSocket-Protocol: binary\r\n\r\n".encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += near.recv(1)
        if b" 101 " not in head:
            raise RuntimeError(head.decode())
        return near


@contextlib.contextmanager
def started(kinds, folder):
    with contextlib.ExitStack() as stack:
        peers = []
        for kind in kinds:
            peer = kind(folder)
            stack.callback(peer.stop)
            peer.start()
            peers.append(peer)
        yield peers
