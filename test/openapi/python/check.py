"""Holds a running Clew against the OpenAPI document that it serves: check.py QUERY_URL ADMIN_URL TRACE_ID

The document must be valid OpenAPI. Then each call is made: answers must have a status and a content type that the document has, and be valid by the
schema; each parameter's default, bounds and form must be what the document says.
"""
import json
import random
import struct
import sys
import urllib.parse

import requests
from jsonschema import Draft202012Validator, FormatChecker
from openapi_spec_validator import validate

query, admin, trace_id = sys.argv[1:4]
session = requests.Session()
failures = 0


def fail(*what):
    global failures
    failures += 1
    print("✖", *what)


document = session.get(query + "/api/v1/openapi.json").json()
validate(document)


def validator(schema):
    """A validator of a schema of the document, whose references it follows."""
    return Draft202012Validator({**schema, "components": document["components"]}, format_checker=FormatChecker())


def resolved(parameter):
    if "$ref" in parameter:
        return document["components"]["parameters"][parameter["$ref"].rsplit("/", 1)[1]]
    return parameter


class Call:
    def __init__(self, path, method, operation):
        self.path, self.method, self.operation = path, method, operation
        self.id = operation["operationId"]
        self.base = admin if "servers" in operation else query
        self.parameters = [resolved(p) for p in operation.get("parameters", [])]
        self.query = [p for p in self.parameters if p["in"] == "query"]

    def make(self, path, params, headers=None):
        """Makes the call, and checks that the answer is one that the document has."""
        for name, value in path.items():
            text = urllib.parse.quote(value, safe="/" if name == "name" else "")
            path_text = self.path if name == list(path)[0] else path_text
            path_text = path_text.replace("{" + name + "}", text)
        url = self.base + (path_text if path else self.path)
        r = session.request(self.method.upper(), url, params=params, headers=headers)
        what = f"{self.method.upper()} {r.request.path_url[:150]} -> {r.status_code}"
        response = self.operation["responses"].get(str(r.status_code if r.status_code != 206 else 200))
        if response is None:
            fail(what, "is no status of the document:", r.text[:300])
            return r
        content = response.get("content", {})
        typ = r.headers.get("Content-Type", "").split(";")[0]
        if not content:
            if r.content:
                fail(what, "has a body, and none in the document")
        elif typ not in content:
            fail(what, "is", typ, "and in the document", list(content))
        elif typ == "application/json":
            for e in validator(content[typ]["schema"]).iter_errors(r.json()):
                fail(what, "is not valid:", e.json_path, e.message[:300])
        for name in response.get("headers", {}):
            if name not in r.headers and name != "Retry-After":
                fail(what, "has no header", name)
        return r


calls = {}
for path, item in document["paths"].items():
    for method, operation in item.items():
        c = Call(path, method, operation)
        if c.id in calls:
            fail("two calls have the name", c.id)
        calls[c.id] = c

rng = {"from": "1", "to": str(2**62)}
traces = {"id": trace_id}
# Requests that are answered, of each call: path parameters, query parameters, and what the answer must have.
good = {
    "status": [({}, {}, "store")],
    "openapi": [({}, {}, "paths")],
    "services": [({}, {}, "services")],
    "operations": [({}, {"service": "stock"}, "operations"), ({}, {"service": "nobody"}, "operations")],
    "attributes": [({}, {}, "attributes"), ({}, {"service": "stock", "scope": "resource", "prefix": "h", "limit": 1, **rng}, "attributes")],
    "values": [({"key": "host.name"}, {}, "attributes"), ({"key": "no/such"}, {}, "attributes"), ({"key": "name"}, {"scope": "intrinsic"}, "attributes")],
    "search": [
        ({}, {}, "traces"), ({}, {"service": "stock", "tag": ["host.name=h2", "host.name"], "minDuration": "0s", "maxDuration": "1h", **rng}, "traces"),
        ({}, {"service": "nobody"}, "traces"), ({}, {"limit": 1}, "cursor"),
    ],
    "query": [
        ({}, {"q": "{ kind != unspecified } | by(kind) | select(resource.host.name, status, duration, span:parentID)"}, "traces"),
        ({}, {"q": "{ } | select(" + ", ".join("span." + a for a in ("nan", "inf", "blob", "list", "map", "big", "ratio", "yes", "empty", "none")) + ")", "spans": 1000}, "traces"),
        ({}, {"q": "{ } | rate() by (name, status)", "step": "10s", "exemplars": 2, **rng, "from": "1700000000000000000", "to": "1700000600000000000"}, "series"),
        ({}, {"q": "{ } | quantile_over_time(duration, 0.5, 0.99)", "step": "0s"}, "series"),
        ({}, {"q": "{ } | avg_over_time(span.nan)", "step": "0s", **rng}, "series"),
        ({}, {"q": "({ } | rate()) / ({ name = \"none\" } | rate())", "step": "0s", **rng}, "series"),
        ({}, {"q": "explain { name = \"a\" }"}, "plan"), ({}, {"q": "explain { } | rate()"}, "plan"), ({}, {"q": "{ name = \"nothing\" }"}, "traces"),
        ({}, {"q": "{}", "timeout": "10s", "partial": "true", **rng}, "scanned"),
    ],
    "trace": [(traces, {}, "resourceSpans"), ({"id": trace_id.upper()}, {}, "resourceSpans")],
    "columns": [(traces, {}, None)],
    "rows": [(traces, {"from": 0, "to": 8}, "rows"), (traces, {"from": 0, "to": 0}, "rows")],
    "live": [({}, {}, None)], "ready": [({}, {}, None)], "metrics": [({}, {}, None), ({}, {"name[]": ["clew_build_info"]}, None)],
    "delete": [({}, {"service": "stock", "dryRun": "true"}, "matched"), ({}, {"all": "true", "dryRun": "true", "limit": 1}, "matched")],
    "snapshot": [({}, {}, "files")],
    "snapshot_file": [], "drop_snapshot": [], "delete_trace": [],  # below, for they need others before
    "profiles": [({}, {}, None)], "profile": [({"profile": "heap"}, {}, None)], "profile_cpu": [({}, {"seconds": 1}, None)],
    "profile_symbol": [({}, {}, None)], "profile_symbols": [({}, {}, None)], "profile_trace": [({}, {"seconds": 1}, None)],
}
# Statuses of calls that are refused, apart from wrong parameters.
refused = {
    "trace": [({"id": "1"}, {}, 404)], "columns": [({"id": "1"}, {}, 404)],
    "rows": [({"id": "1"}, {"from": 0, "to": 1}, 404), (traces, {"from": 0, "to": 1, "version": "6"}, 404), (traces, {"from": 2, "to": 1}, 400), (traces, {"from": 0, "to": 9}, 400)],
    "query": [({}, {"q": "{"}, 400), ({}, {"q": "{} | rate()", "step": "1ns", **rng}, 400), ({}, {"q": "{}", "cursor": "x"}, 400)],
    "search": [({}, {"cursor": "x"}, 400), ({}, {"from": 2, "to": 1}, 400)],
    "delete_trace": [({"id": "1"}, {}, 404)], "delete": [({}, {}, 400), ({}, {"service": ""}, 400)],
    "snapshot_file": [({"id": "none", "name": "a/b"}, {}, 404)], "drop_snapshot": [({"id": "none"}, {}, 404)], "profile": [({"profile": "none"}, {}, 404)],
}
# What is needed beside a parameter for a request to be right.
beside = {"operations": {"service": "stock"}, "query": {"q": "{}"}, "rows": {"from": 0, "to": 1}, "delete": {"service": "nobody"}}


def path_of(c):
    return {p["name"]: {"id": trace_id, "key": "host.name"}.get(p["name"], "none") for p in c.parameters if p["in"] == "path"}


def wrong_values(schema):
    """Texts that a parameter's schema has not."""
    if schema["type"] == "array":
        return wrong_values(schema["items"])
    if schema["type"] == "integer":
        out = ["x", "1.5", "99999999999999999999", str(schema["minimum"] - 1)]
        return out + ([str(schema["maximum"] + 1)] if "maximum" in schema else [])
    if schema["type"] == "boolean":
        return ["yes", "2"]
    if "enum" in schema:
        return ["none"]
    if "pattern" in schema:
        return ["x y", "-1", "-1s"]
    return []


def right_values(p):
    """Texts at the edges of a parameter's schema."""
    schema = p["schema"]
    out = [p["example"]] if "example" in p and schema["type"] != "array" else []
    if schema["type"] == "integer":
        out += [str(schema["minimum"])] + ([str(schema["maximum"])] if "maximum" in schema else [])
    if schema["type"] == "boolean":
        out += ["true", "false"]
    return out + schema.get("enum", [])


def refusal(c, params, *texts, path=None):
    r = c.make(path_of(c) if path is None else path, params)
    if r.status_code != 400 or not all(t in r.json()["error"]["message"] for t in texts):
        fail(c.id, params, "is not refused with", texts, "but", r.status_code, r.text[:300])


def parameters(c):
    """Checks that what is wrong is refused with the parameter's name, and that what is right is not."""
    base = beside.get(c.id, {})
    refusal(c, {**base, "nonsense": "1"}, 'there is no parameter "nonsense"')
    for p in c.query:
        name = p["name"]
        for v in wrong_values(p["schema"]):
            refusal(c, {**base, name: v}, name, "want")
        if p["schema"]["type"] != "array":
            refusal(c, {**base, name: ["1", "2"]}, name, "is given 2 times")
        if len(name) > 4:
            refusal(c, {**base, name[:-2] + name[-1] + name[-2]: "1"}, f"did you mean {name}?")
        if p.get("required"):
            refusal(c, {k: v for k, v in base.items() if k != name}, name + " is missing")
        for v in right_values(p):
            r = c.make(path_of(c), {**base, name: v})
            if r.status_code == 400 and name + " is " in r.text and "rows" != c.id:
                fail(c.id, name, "=", v, "is right by the document, and refused:", r.text[:300])
    for p in c.parameters:
        if p["in"] == "path" and "pattern" in p["schema"]:
            refusal(c, base, "trace ID", path={"id": "xyz"})


def same(c, a, b):
    """Compares answers, but for what changes with time."""
    return {k: v for k, v in a.json().items() if k != "scanned"} == {k: v for k, v in b.json().items() if k != "scanned"}


def defaults(c):
    base = beside.get(c.id, {})
    for p in c.query:
        if "default" in p["schema"]:
            value = p["schema"]["default"]
            value = str(value).lower() if isinstance(value, bool) else value
            if not same(c, c.make(path_of(c), base), c.make(path_of(c), {**base, p["name"]: value})):
                fail(c.id, p["name"], "has another default than", value)


def columns():
    body = session.get(f"{query}/api/v1/traces/{trace_id}/columns").content
    size = struct.unpack("<I", body[4:8])[0]
    header = json.loads(body[8:8 + size])
    for e in validator({"$ref": "#/components/schemas/ColumnsHeader"}).iter_errors(header):
        fail("the header of columns is not valid:", e.json_path, e.message)
    for e in validator({"$ref": "#/components/schemas/ColumnsHeader"}).iter_errors({**header, "more": 1}):
        break
    else:
        fail("a schema takes what it does not have")


def snapshots():
    shot = calls["snapshot"].make({}, {}).json()
    file = shot["files"][0]
    r = calls["snapshot_file"].make({"id": shot["id"], "name": file["name"]}, {})
    if len(r.content) != file["bytes"]:
        fail("a file of a snapshot has", len(r.content), "bytes, and", file["bytes"], "by its list")
    part = calls["snapshot_file"].make({"id": shot["id"], "name": file["name"]}, {}, {"Range": "bytes=0-3"})
    if part.status_code != 206 or part.content != r.content[:4]:
        fail("a range of a file:", part.status_code, part.content[:20])
    calls["drop_snapshot"].make({"id": shot["id"]}, {})


def others():
    """What is not in the document is not there: other methods of its paths, and paths beside them."""
    for path, item in document["paths"].items():
        for method in ("get", "post", "put", "delete", "patch"):
            for base, port in ((query, False), (admin, True)):
                if method in item and ("servers" in item[method]) == port or not path.startswith("/api/"):
                    continue
                r = session.request(method, base + path.replace("{id}", trace_id).replace("{name}", "x").replace("{key}", "x"))
                if r.status_code not in (404, 405):
                    fail(method, base, path, "is answered, and not in the document:", r.status_code, r.text[:200])
    for base in (query, admin):
        r = session.get(base + "/api/v1/nothing")
        if r.status_code != 404 or list(validator({"$ref": "#/components/schemas/Error"}).iter_errors(r.json())):
            fail("a call that is none:", r.status_code, r.text)


for name in set(calls) - set(good):
    fail("no request is tried of", name)
for name in set(good) - set(calls):
    fail("the document has no", name)
for name, c in calls.items():
    for path, params, has in good.get(name, []):
        r = c.make(path, params)
        if r.status_code not in (200, 201, 206):
            fail(name, params, "is refused:", r.status_code, r.text[:300])
        elif has and has not in r.json():
            fail(name, params, "has no", has, ":", r.text[:200])
    for path, params, status in refused.get(name, []):
        r = c.make(path, params)
        if r.status_code != status:
            fail(name, path, params, "has status", r.status_code, "want", status, r.text[:200])
    if c.path.startswith("/api/"):
        parameters(c)
    if c.id != "snapshot" and c.path.startswith("/api/") and name not in ("status",):
        defaults(c)
columns()
snapshots()
others()
r = calls["delete"].make({}, {"all": "true"}, {"Origin": "http://elsewhere.example", "Sec-Fetch-Site": "cross-site"})
if r.status_code != 403:
    fail("another origin deletes:", r.status_code)
calls["delete_trace"].make(traces, {})
print(f"{len(calls)} calls, {failures} failures")
sys.exit(failures > 0)
