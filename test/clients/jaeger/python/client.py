"""Sends a trace, or asks how to sample, with jaeger-client. Arguments: udp HOST:PORT FILE, or sampling HOST:PORT FILE."""
import base64
import json
import sys
import time

from jaeger_client import Config
from opentracing import child_of, follows_from

mode, address, file = sys.argv[1:]
host, port = address.split(":")
with open(file, encoding="utf-8") as f:
    told = json.load(f)


def values(tags):
    return {key: base64.b64decode(value) if kind == "binary" else float(value) if kind == "double" else value for key, kind, value in tags}


def send():
    config = {
        "sampler": {"type": "const", "param": 1},
        "local_agent": {"reporting_host": host, "reporting_port": int(port)},
        "reporter_flush_interval": 0.05,
        "generate_128bit_trace_id": True,
        "tags": values(told["process"]),
    }
    tracer = Config(config=config, service_name=told["service"], validate=True).new_tracer()
    spans = {}
    for s in told["spans"]:
        references = [child_of(spans[s["parent"]].context)] if s["parent"] else []
        references += [follows_from(spans[name].context) for name in s["follows"]]
        span = tracer.start_span(s["name"], references=references, start_time=s["start"] / 1000, tags=values(s["tags"]))
        if s["kind"]:
            span.set_tag("span.kind", s["kind"])
        if s["error"]:
            span.set_tag("error", True)
        for log in s["logs"]:
            span.log_kv(values(log["fields"]), timestamp=log["at"] / 1000)
        span.finish(finish_time=(s["start"] + s["duration"]) / 1000)
        spans[s["name"]] = span
    closing = tracer.close()
    while not closing.done():
        time.sleep(0.01)
    first = spans[told["spans"][0]["name"]]
    print(json.dumps({"traceID": f"{first.trace_id:032x}", "spans": {name: f"{span.span_id:016x}" for name, span in spans.items()}}))


def decisions():
    tracers = {}
    for d in told:
        if d["service"] not in tracers:
            config = {
                "local_agent": {"reporting_host": "127.0.0.1", "reporting_port": 9, "sampling_port": int(port)},
                "sampling_refresh_interval": 1,
            }
            tracers[d["service"]] = Config(config=config, service_name=d["service"], validate=True).new_tracer()
    end = time.time() + 20
    while True:
        got = [dict(d, sampled=tracers[d["service"]].start_span(d["operation"]).is_sampled()) for d in told]
        if got == told or time.time() > end:
            print(json.dumps(got))
            return
        time.sleep(0.05)


if mode == "sampling":
    decisions()
else:
    send()
