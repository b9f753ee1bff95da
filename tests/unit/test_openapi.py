# SPDX-License-Identifier: Apache-2.0
"""interfaces/openapi.yaml and the tables of dvmd say the same. Usage: test_openapi.py API_TABLES_PROGRAM OPENAPI_YAML"""

import json
import subprocess
import sys

import yaml

tables = json.loads(subprocess.run([sys.argv[1]], check=True, capture_output=True).stdout)
doc = yaml.safe_load(open(sys.argv[2]))
INT64_MAX = 2**63 - 1
NAME = doc["components"]["schemas"]["Name"]["pattern"]
tests = []


def test(function):
    tests.append(function)


def resolve(node):
    """With what a $ref leads to merged in, members beside the $ref last."""
    while "$ref" in node:
        found = doc
        for key in node["$ref"].removeprefix("#/").split("/"):
            found = found[key]
        node = {**found, **{k: v for k, v in node.items() if k != "$ref"}}
    return node


def operations():
    for path, item in doc["paths"].items():
        for method in ("get", "post", "put", "delete"):
            if method in item:
                yield (method.upper(), path), item[method]


def routes():
    return {(r["method"], r["path"]): r for r in tables["routes"]}


def expect(got, wanted, where):
    assert got == wanted, f"{where}: dvmd has {got!r}, the description {wanted!r}"


def compare_text(field, schema, where):
    if schema.get("pattern") == NAME:
        expect(field["type"], "name", where)
    elif "enum" in schema:
        expect(field["type"], "choice", where)
        expect(field["choices"], schema["enum"], where)
    else:
        expect(field["type"], "string", where)
        if "pattern" not in schema:  # an id: looked up as it is
            expect((field["min"], field["max"]), (schema.get("minLength", 0), schema["maxLength"]), where)


def compare_list(field, schema, where):
    items = resolve(schema["items"])
    expect((field["items_min"], field["items_max"]), (schema.get("minItems", 0), schema["maxItems"]), where)
    if "enum" in items:
        expect(field["type"], "choices", where)
        expect(field["choices"], items["enum"], where)
    else:
        expect(field["type"], {"name": "names", "string": "strings"}[field["type"][:-1]], where)
        compare_text({**field, "type": field["type"][:-1]}, items, where)


def compare(field, schema, where):
    schema = resolve(schema)
    kind = schema["type"]
    if kind == "string":
        compare_text(field, schema, where)
    elif kind == "integer":
        expect(field["type"], "integer", where)
        expect((field["min"], field["max"]), (schema["minimum"], schema.get("maximum", INT64_MAX)), where)
    elif kind == "boolean":
        expect(field["type"], "bool", where)
    else:
        compare_list(field, schema, where)


@test
def every_path_and_method():
    described = dict(operations())
    assert set(routes()) == set(described), set(routes()) ^ set(described)
    for key, operation in described.items():
        expect(routes()[key]["public"], operation.get("security") == [], key)


@test
def every_query():
    for key, operation in operations():
        parameters = [resolve(p) for p in operation.get("parameters", [])]
        wanted = {p["name"]: p["schema"] for p in parameters if p["in"] == "query"}
        query = routes()[key]["query"]
        expect(set(query), set(wanted), key)
        for name, field in query.items():
            compare(field, wanted[name], f"{key} {name}")


@test
def every_body():
    for key, operation in operations():
        body, described = routes()[key]["body"], operation.get("requestBody")
        expect(body is not None, described is not None, key)
        if body is None:
            continue
        expect(routes()[key]["body_optional"], not described["required"], key)
        schema = resolve(described["content"]["application/json"]["schema"])
        assert schema["additionalProperties"] is False, key
        expect(set(body), set(schema["properties"]), key)
        expect({n for n, f in body.items() if f["required"]}, set(schema.get("required", [])), key)
        for name, field in body.items():
            compare(field, schema["properties"][name], f"{key} {name}")


@test
def every_location():
    for key, operation in operations():
        for status in ("201", "202"):
            if status in operation["responses"] and key[0] == "POST":
                headers = resolve(operation["responses"][status]).get("headers", {})
                expect(routes()[key]["made"], "Location" in headers, f"{key} {status}")


@test
def every_post_takes_a_key():
    for key, operation in operations():
        names = [resolve(p)["name"] for p in operation.get("parameters", [])]
        expect(key[0] == "POST", "Idempotency-Key" in names, key)


@test
def every_code():
    expect(set(tables["codes"]), set(doc["components"]["schemas"]["Code"]["enum"]), "codes")
    by_status = {}
    for code, status in tables["codes"].items():
        by_status.setdefault(status, set()).add(code)
    described = {}
    for response in doc["components"]["responses"].values():
        properties = response["content"]["application/problem+json"]["schema"]["properties"]
        described[properties["status"]["const"]] = set(properties["code"]["enum"])
    expect(by_status, described, "codes by status")


failed = 0
print(f"1..{len(tests)}")
for number, function in enumerate(tests, 1):
    try:
        function()
        print(f"ok {number} - {function.__name__}")
    except AssertionError as error:
        failed += 1
        print(f"not ok {number} - {function.__name__}\n# {error}")
sys.exit(bool(failed))
