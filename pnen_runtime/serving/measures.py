"""What `/metrics` tells, for Prometheus."""

from __future__ import annotations

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from .places import Places
from .query import Wanted

SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)


class Measures:
    """Counters of one service; models and statuses are few, whatever clients send."""

    media_type = CONTENT_TYPE_LATEST

    def __init__(self, places: Places):
        self._all = registry = CollectorRegistry()
        self._answers = Counter("pnen_answers", "Answers to POST /smooth; 499: the client went away.",
                                ["model", "status"], registry=registry)  # fmt: skip
        self._whole = Histogram("pnen_answer_seconds", "From a request's head to its answer.", ["model"],
                                buckets=SECONDS, registry=registry)  # fmt: skip
        self._computed = Histogram("pnen_computing_seconds", "From a picture's bytes to its result's.", ["model"],
                                   buckets=SECONDS, registry=registry)  # fmt: skip
        self.received = Counter("pnen_received_bytes", "Of pictures.", registry=registry)
        for name, says, count in (
            ("pnen_places", "Pictures that may be here at once.", lambda: places.all),
            ("pnen_places_taken", "Pictures that are here.", lambda: places.taken),
            ("pnen_running", "Pictures that are computed.", lambda: places.running),
        ):
            Gauge(name, says, registry=registry).set_function(count)
        ProcessCollector(registry=registry)

    def answered(self, wanted: Wanted | None, status: int, seconds: float) -> None:
        model = wanted.model if wanted else ""
        self._answers.labels(model, str(status)).inc()
        self._whole.labels(model).observe(seconds)

    def computed(self, wanted: Wanted, seconds: float) -> None:
        self._computed.labels(wanted.model).observe(seconds)

    def text(self) -> bytes:
        return generate_latest(self._all)
