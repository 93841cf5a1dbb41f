"""A collector of OpenTelemetry's protocol over HTTP: reads each message with OpenTelemetry's own package, and prints what
it holds, one line of JSON for each request. The first line is its port.

    PORT  the port to listen on; 0 for any

`POST /answer` with a number makes it answer every message with that status from then on, and read none.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE
from opentelemetry.proto.trace.v1.trace_pb2 import Span

status = 200


def values(attributes):
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


def spans(body):
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield {
                    "resource": values(resource.resource.attributes),
                    "scope": scope.scope.name,
                    "name": span.name,
                    "kind": Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
                    "trace": span.trace_id.hex(),
                    "span": span.span_id.hex(),
                    "parent": span.parent_span_id.hex(),
                    "state": span.trace_state,
                    "began": span.start_time_unix_nano,
                    "ended": span.end_time_unix_nano,
                    "attributes": values(span.attributes),
                    "error": span.status.message if span.status.code == 2 else None,
                }


def metrics(body):
    for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                kind = metric.WhichOneof("data")
                data = getattr(metric, kind)
                if kind != "gauge":
                    assert data.aggregation_temporality == AGGREGATION_TEMPORALITY_CUMULATIVE, metric.name
                yield {
                    "resource": values(resource.resource.attributes),
                    "name": metric.name,
                    "description": metric.description,
                    "unit": metric.unit,
                    "kind": kind,
                    "points": [point(kind, one) for one in data.data_points],
                }


def point(kind, one):
    labels = values(one.attributes)
    if kind == "histogram":
        shape = {"bounds": list(one.explicit_bounds), "counts": list(one.bucket_counts)}
        return {"labels": labels, "count": one.count, "sum": one.sum, **shape}
    return {"labels": labels, "value": getattr(one, one.WhichOneof("value"))}


READ = {"/v1/traces": ("spans", spans), "/v1/metrics": ("metrics", metrics)}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        global status
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/answer":
            status = int(body)
            return self.answer(200)
        if status != 200:
            return self.answer(status)
        if self.path not in READ or self.headers["content-type"] != "application/x-protobuf":
            return self.answer(404)
        name, read = READ[self.path]
        say({"path": self.path, "headers": {key.lower(): value for key, value in self.headers.items()}, name: list(read(body))})
        self.answer(200)

    def answer(self, code):
        self.send_response(code)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def say(what):
    # In one write: requests come from several threads.
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
say({"port": server.server_address[1]})
server.serve_forever()
