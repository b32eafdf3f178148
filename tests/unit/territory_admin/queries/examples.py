"""Metrics pages as workers serve them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

from territory_admin.queries.worker_metrics import MetricsPage, samples_of


def page_of(*, taken: int = 100, fast: int = 90, slow: int = 10, position: int = 7, ready: int = 1) -> str:
    """Return a metrics page of an access indexer."""
    return f"""# TYPE territory_events_total counter
territory_events_total{{topic="territory.assignments.v1",outcome="taken"}} {taken}
territory_events_total{{topic="territory.assignments.v1",outcome="refused"}} 2
# TYPE territory_event_to_visible_seconds histogram
territory_event_to_visible_seconds_bucket{{le="0.1"}} {fast}
territory_event_to_visible_seconds_bucket{{le="1.0"}} {fast}
territory_event_to_visible_seconds_bucket{{le="2.5"}} {fast + slow}
territory_event_to_visible_seconds_bucket{{le="+Inf"}} {fast + slow}
# TYPE territory_lag_records gauge
territory_lag_records{{topic="territory.assignments.v1"}} 12
# TYPE territory_lag_seconds gauge
territory_lag_seconds{{topic="territory.assignments.v1"}} 3.5
# TYPE territory_partitions gauge
territory_partitions{{stage="access-indexer"}} 4
# TYPE territory_restoring_partitions gauge
territory_restoring_partitions{{stage="access-indexer"}} 1
# TYPE territory_records gauge
territory_records{{stage="access-indexer"}} 5000
# TYPE territory_ready gauge
territory_ready {ready}
# TYPE territory_model_revision gauge
territory_model_revision 3
# TYPE territory_model_position gauge
territory_model_position {position}
# TYPE territory_model_activated_timestamp_seconds gauge
territory_model_activated_timestamp_seconds 1000
# TYPE territory_index_drift_total counter
territory_index_drift_total{{kind="extra_member"}} 1
# TYPE territory_forecast_drift_total counter
territory_forecast_drift_total{{kind="deal"}} 3
# TYPE process_resident_memory_bytes gauge
process_resident_memory_bytes 80000000
"""


def page(worker: str = "a:1", at: float = 0.0, **counts: int) -> MetricsPage:
    return MetricsPage(worker, at, samples_of(page_of(**counts)))


@contextmanager
def serving(text: str) -> Iterator[str]:
    """Serve a page over HTTP; yield its HOST:PORT."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
