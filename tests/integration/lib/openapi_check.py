# SPDX-License-Identifier: Apache-2.0
"""An HTTP client for tests that holds every answer it sees against interfaces/openapi.yaml.

An answer that the description does not have (status, content type, header, body, a member too many) fails the test.
"""

import base64
import contextlib
import hashlib
import http.client
import json
import pathlib
import re
import socket
import ssl
import urllib.parse

import jsonschema
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[3]
METHODS = ("get", "post", "put", "delete")
FORBIDDEN_HEADERS = ("server", "via", "x-powered-by")


class Mismatch(AssertionError):
    """An answer is not as interfaces/openapi.yaml describes it."""


class ApiDescription:
    def __init__(self, path=ROOT / "interfaces" / "openapi.yaml"):
        self.doc = yaml.safe_load(pathlib.Path(path).read_text())
        self.resolver = jsonschema.RefResolver("", self.doc)
        self.templates = []
        for template, item in self.doc["paths"].items():
            pattern = re.compile("^" + re.sub(r"\\{[a-z]+\\}", "[^/]+", re.escape(template)) + "$")
            self.templates.append((pattern, template, item))

    def resolve(self, node):
        while "$ref" in node and node["$ref"].startswith("#/components/responses/"):
            node = self.resolver.resolve(node["$ref"])[1]
        if set(node) == {"$ref"}:
            node = self.resolver.resolve(node["$ref"])[1]
        return node

    def find(self, target):
        path = target.split("?", 1)[0]
        for pattern, template, item in self.templates:
            if pattern.match(path):
                return template, item
        return None, None

    def validate(self, schema, value, where):
        validator = jsonschema.Draft202012Validator(schema, resolver=self.resolver)
        error = jsonschema.exceptions.best_match(validator.iter_errors(value))
        if error:
            at = "/".join(map(str, error.absolute_path))
            raise Mismatch(f"{where}: at /{at}: {error.message}\nin {json.dumps(value)[:2000]}")

    def check_event(self, event):
        self.validate({"$ref": "#/components/schemas/Event"}, event, "event")

    def allowed(self, item):
        methods = [m.upper() for m in METHODS if m in item]
        return set(methods + ["OPTIONS"] + (["HEAD"] if "GET" in methods else []))

    def check(self, method, target, status, headers, body):
        """headers: lower-case names. body: bytes, or None where it was not read (a stream)."""
        where = f"{method} {target} -> {status}"
        for name in FORBIDDEN_HEADERS:
            if name in headers:
                raise Mismatch(f"{where}: header {name}: {headers[name]}")
        template, item = self.find(target)
        if not template:
            if status not in (400, 404):
                raise Mismatch(f"{where}: no such path in the description")
            return self.check_problem(where, status, headers, body)
        allowed = self.allowed(item)
        if method == "OPTIONS" and status == 204 or status == 405:
            got = set(filter(None, re.split(r"\s*,\s*", headers.get("allow", ""))))
            if got != allowed:
                raise Mismatch(f"{where}: Allow is {sorted(got)}, described are {sorted(allowed)}")
            if status == 405 and method in allowed:
                raise Mismatch(f"{where}: described, but not allowed")
            return None if status == 204 else self.check_problem(where, status, headers, body)
        if method not in allowed:
            if status in (400, 401):
                return self.check_problem(where, status, headers, body)
            raise Mismatch(f"{where}: answered, but not described")
        operation = item["get" if method == "HEAD" else method.lower()]
        responses = operation["responses"]
        if str(status) not in responses:
            raise Mismatch(f"{where}: status is not described; {body and body[:500]}")
        self.check_response(where, self.resolve(responses[str(status)]), method, headers, body)

    def check_problem(self, where, status, headers, body):
        if headers.get("content-type") != "application/problem+json":
            raise Mismatch(f"{where}: content type {headers.get('content-type')}")
        if body:
            problem = parse(where, body)
            self.validate({"$ref": "#/components/schemas/Problem"}, problem, where)
            if problem["status"] != status:
                raise Mismatch(f"{where}: the problem says {problem['status']}")

    def check_response(self, where, response, method, headers, body):
        for name, header in response.get("headers", {}).items():
            header = self.resolve(header)
            value = headers.get(name.lower())
            if value is not None:
                self.validate(header["schema"], value, f"{where}: header {name}")
            elif header.get("required"):
                raise Mismatch(f"{where}: header {name} is missing")
        content = response.get("content")
        if not content:
            if body or "content-type" in headers:
                raise Mismatch(f"{where}: has a body, none is described")
            return
        kind = headers.get("content-type", "").split(";")[0].strip()
        if kind not in content:
            raise Mismatch(f"{where}: content type {kind!r}, described are {sorted(content)}")
        if body is None or method == "HEAD":
            if method == "HEAD" and body:
                raise Mismatch(f"{where}: a body for HEAD")
            return
        if kind.endswith("json"):
            self.validate(content[kind]["schema"], parse(where, body), where)


def parse(where, body):
    try:
        return json.loads(body)
    except ValueError as error:
        raise Mismatch(f"{where}: not JSON: {error}: {body[:200]!r}") from error


class Answer:
    def __init__(self, status, headers, body, head):
        self.status, self.headers, self.body, self.head = status, headers, body, head

    @property
    def json(self):
        return json.loads(self.body) if self.body else None

    @property
    def code(self):
        return (self.json or {}).get("code") if self.status >= 400 else None

    def __repr__(self):
        return f"<{self.status} {self.body[:300]!r}>"


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class PinnedConnection(http.client.HTTPSConnection):
    """TLS to the key that the pin names, whoever signed it; as the command line does."""

    def __init__(self, host, port, pin, timeout):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        super().__init__(host, port, timeout=timeout, context=context)
        self.pin = pin

    def connect(self):
        from cryptography import x509
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        super().connect()
        key = x509.load_der_x509_certificate(self.sock.getpeercert(binary_form=True)).public_key()
        digest = hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
        got = "sha256//" + base64.b64encode(digest).decode()
        if self.pin and got != self.pin.strip():
            self.close()
            raise ssl.SSLError(f"the server's key is {got}, pinned is {self.pin}")


class DvmClient:
    """url: https://HOST:PORT (with pin), or the path of dvmd's unix socket."""

    description = None

    def __init__(self, url, token=None, pin=None, timeout=60):
        self.url, self.token, self.pin, self.timeout = str(url), token, pin, timeout
        if DvmClient.description is None:
            DvmClient.description = ApiDescription()

    def with_token(self, token):
        return DvmClient(self.url, token, self.pin, self.timeout)

    def connection(self):
        if self.url.startswith("/"):
            return UnixConnection(self.url, self.timeout)
        url = urllib.parse.urlsplit(self.url)
        return PinnedConnection(url.hostname, url.port or 443, self.pin, self.timeout)

    def fields(self, headers, body):
        fields = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        if body is not None:
            fields["Content-Type"] = "application/json"
        fields.update(headers or {})
        return {name: value for name, value in fields.items() if value is not None}

    def request(self, method, target, body=None, headers=None):
        """body: bytes as they are, or anything else as JSON. A header of None is left out."""
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        fields = self.fields(headers, body)
        with contextlib.closing(self.connection()) as connection:
            connection.request(method, target, body, fields)
            response = connection.getresponse()
            answer = self.read(method, target, response, response.read())
        asked = next((v for k, v in fields.items() if k.lower() == "x-request-id"), None)
        if asked and re.fullmatch(r"[A-Za-z0-9._-]{1,64}", asked) and answer.headers.get("x-request-id") != asked:
            raise Mismatch(f"{method} {target}: X-Request-Id {asked} came back as {answer.headers.get('x-request-id')}")
        return answer

    def read(self, method, target, response, body):
        headers = {name.lower(): value for name, value in response.getheaders()}
        head = f"HTTP/1.1 {response.status} {response.reason}\n" + str(response.headers)
        self.description.check(method, target, response.status, headers, body)
        return Answer(response.status, headers, body, head)

    def get(self, target, **kw):
        return self.request("GET", target, **kw)

    def post(self, target, body=None, **kw):
        return self.request("POST", target, {} if body is None else body, **kw)

    def put(self, target, body, **kw):
        return self.request("PUT", target, body, **kw)

    def delete(self, target, **kw):
        return self.request("DELETE", target, **kw)

    def ok(self, method, target, body=None, **kw):
        """The JSON of an answer that must be a success."""
        answer = self.request(method, target, body, **kw)
        assert 200 <= answer.status < 300, f"{method} {target}: {answer}"
        return answer.json

    def refused(self, code, method, target, body=None, **kw):
        """The problem of an answer that must be refused with `code`."""
        answer = self.request(method, target, body, **kw)
        assert answer.code == code, f"{method} {target}: expected {code}, got {answer}"
        return answer.json

    @contextlib.contextmanager
    def events(self, after=None, session=None, headers=None, timeout=None):
        """Yields an iterator over the feed's events (dicts, each checked); None for a heartbeat."""
        query = {k: v for k, v in (("after", after), ("session", session)) if v is not None}
        target = "/v1/events" + ("?" + urllib.parse.urlencode(query) if query else "")
        connection = self.connection()
        if timeout:
            connection.timeout = timeout
        with contextlib.closing(connection):
            connection.request("GET", target, headers=self.fields(headers, None))
            response = connection.getresponse()
            if response.status != 200:
                answer = self.read("GET", target, response, response.read())
                raise AssertionError(f"GET {target}: {answer}")
            self.read("GET", target, response, None)
            yield self.parse_events(response)
            # The connection is not read to its end: take the socket away first.
            response.close()

    def parse_events(self, response):
        fields = {}
        while True:
            line = response.readline().decode()
            if not line:
                return
            line = line.rstrip("\n")
            if line.startswith(":"):
                yield None
            elif line:
                name, _, value = line.partition(":")
                fields[name] = value.removeprefix(" ")
            elif "data" in fields:
                event = json.loads(fields["data"])
                self.description.check_event(event)
                if str(event["id"]) != fields["id"] or event["type"] != fields["event"]:
                    raise Mismatch(f"event: {fields} does not agree with its data")
                yield event
                fields = {}
            else:
                fields = {}

    # ---- every path, and every way to be refused that leaves all as it is

    def walk(self, session=None, vm=None):
        """Asks for everything there is and for what there is not; changes nothing. [(method, path, head, body)]"""
        seen = []

        def ask(client, method, target, body=None, headers=None):
            answer = client.request(method, target, body, headers)
            seen.append((method, target, answer.head, answer.body.decode(errors="replace")))

        values = {
            "vm": [vm, "no-such-vm", "v-00000000000"],
            "session": [session, "s-00000000000"],
            "attachment": ["a-00000000000"],
            "recording": ["console.cast", "..%2f..%2fstore.sqlite"],
            "image": ["default", "00000000"],
            "token": ["t-00000000000"],
            "key": ["k-00000000000"],
            "project": ["default", "no-such-project"],
            "user": ["no-such-user"],
        }
        for template, item in self.description.doc["paths"].items():
            for target in fill(template, values):
                for method in ("GET", "HEAD"):
                    if "get" in item and template != "/v1/events":
                        ask(self, method, target)
                ask(self, "OPTIONS", target)
                ask(self, "PATCH", target)
                ask(self.with_token(None), "GET", target)
                ask(self.with_token("dvm_" + "x" * 43), "GET", target)
                for method in ("post", "put"):
                    if method in item:
                        for body in (b"{", b"[]", b'{"no_such_field":1}', b"\xff", b"x" * 1100000):
                            ask(self, method.upper(), target, body)
                        ask(self, method.upper(), target, b"{}", {"Content-Type": "text/plain"})
        for target in ("/", "/v2", "/v1", "/v1/vms/", "/v1/nothing", "/%00", "/v1/vms/%ff", "/v1/vms?limit=0",
                       "/v1/vms?no_such_query=1", "/v1/events?after=x", "/v1/audit?session=s-00000000000"):
            ask(self, "GET", target)
        for target in ("/v1/vms/no-such-vm", "/v1/sessions/s-00000000000", "/v1/tokens/t-00000000000", "/v1/keys/k-00000000000",
                       "/v1/sessions/s-00000000000/attachments/a-00000000000"):
            ask(self, "DELETE", target)
        nothing = "no-such-vm"
        key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHRoaXMgaXMgbm9ib2R5J3Mga2V5LCBidXQgYSBrZXku"
        ask(self, "POST", f"/v1/vms/{nothing}/actions", {"action": "off"})
        ask(self, "POST", f"/v1/vms/{nothing}/streams", {"kind": "console"})
        ask(self, "POST", "/v1/vms", {"domain": "no-such-domain"})
        ask(self, "POST", "/v1/sessions", {"targets": [nothing], "ssh_key": key})
        if vm:
            ask(self, "POST", f"/v1/vms/{vm}/actions", {"action": "explode"})
            ask(self, "POST", f"/v1/vms/{vm}/keys", {"keys": ["hyper"]})
            ask(self, "POST", f"/v1/vms/{vm}/streams", {"kind": "vnc", "mode": "rx"})
        if session:
            ask(self, "POST", "/v1/sessions", {"targets": [vm], "ssh_key": key})
            ask(self, "POST", f"/v1/sessions/{session}/attachments", {"kind": "disk", "vm": nothing})
            ask(self, "POST", f"/v1/sessions/{session}/streams", {"kind": "console", "vm": nothing})
            ask(self, "GET", f"/v1/events?session={session}x")
        return seen


def fill(template, values):
    """Every path of a template, each parameter with each of its values."""
    found = re.search(r"\{([a-z]+)\}", template)
    if not found:
        return [template]
    rest = []
    for value in filter(None, values[found.group(1)]):
        rest += fill(template[: found.start()] + value + template[found.end():], values)
    return rest
