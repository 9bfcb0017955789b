"""A collector for OpenTelemetry that understands nothing but the official definitions.

It prints its port, then a JSON object on a line for each span and each metric that it is sent. What the definitions do not
have is refused.
"""

import base64
import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

IDENTIFIERS = {"traceId", "spanId", "parentSpanId"}


def with_base64(value):
    """OTLP writes identifiers in hexadecimal digits, where Protocol Buffers have Base64 for all bytes."""
    if isinstance(value, list):
        return [with_base64(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        key: base64.b64encode(bytes.fromhex(one)).decode() if key in IDENTIFIERS else with_base64(one)
        for key, one in value.items()
    }


def attributes(found):
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in found}


def spans(request):
    for resource in request.resource_spans:
        of = attributes(resource.resource.attributes)
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield {
                    "span": span.name,
                    "kind": span.kind,
                    "service": of["service.name"],
                    "trace": span.trace_id.hex(),
                    "id": span.span_id.hex(),
                    "parent": span.parent_span_id.hex(),
                    "state": span.trace_state,
                    "took": span.end_time_unix_nano - span.start_time_unix_nano,
                    "start": span.start_time_unix_nano,
                    "attributes": attributes(span.attributes),
                    "failed": span.status.code == 2,
                }


def metrics(request):
    for resource in request.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                data = getattr(metric, metric.WhichOneof("data"))
                yield {"metric": metric.name, "kind": metric.WhichOneof("data"), "points": len(data.data_points)}


class Collector(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        kinds = {
            "/v1/traces": (ExportTraceServiceRequest, spans),
            "/v1/metrics": (ExportMetricsServiceRequest, metrics),
        }
        kind, read = kinds[self.path]
        assert self.headers["content-type"] == "application/json", self.headers["content-type"]
        try:
            request = json_format.ParseDict(with_base64(json.loads(body)), kind())
        except Exception as error:
            print(json.dumps({"error": str(error)}), flush=True)
            return self.answer(400)
        for found in read(request):
            print(json.dumps(found | {"authorization": self.headers["authorization"]}), flush=True)
        self.answer(200)

    def answer(self, status):
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Collector)
print(server.server_port, flush=True)
sys.stdout.flush()
server.serve_forever()
