"""Counters in Prometheus's text format, over all workers."""

from __future__ import annotations

import re

from nbprod.serving.metrics import Metrics, shared

LINE = re.compile(r'[a-z_]+(\{[a-z]+="([^"\\\n]|\\.)*"(,[a-z]+="([^"\\\n]|\\.)*")*\})? [0-9.e+-]+\Z')


def test_every_line_is_of_the_format_and_histograms_add_up() -> None:
    metrics = Metrics()
    metrics.request("/predict", 200, 0.003)
    metrics.request("/predict", 422, 99.0)
    metrics.request('odd"\\\npath', 200, 0.0001)
    metrics.batch(3, 70)
    lines = metrics.text({("nbprod_journal_lag_bytes",): 5.0}).splitlines()
    assert all(line.startswith("#") or LINE.match(line) for line in lines)
    assert 'nbprod_request_seconds_bucket{route="/predict",le="0.005"} 1' in lines
    assert 'nbprod_request_seconds_bucket{route="/predict",le="+Inf"} 2' in lines
    assert 'nbprod_request_seconds_count{route="/predict"} 2' in lines
    assert 'nbprod_batch_rows_bucket{le="128"} 1' in lines
    assert "nbprod_journal_lag_bytes 5" in lines


def test_workers_add_their_counters_and_a_new_one_goes_on_where_the_dead_one_was() -> None:
    slots = shared(2)
    first, second = (Metrics(slots=slots, worker=n, workers=2) for n in (0, 1))
    first.request("/predict", 200, 0.1)
    second.request("/predict", 200, 0.1)
    first.share()
    second.share()
    assert 'nbprod_requests_total{route="/predict",status="200"} 2' in first.text({})
    again = Metrics(slots=slots, worker=1, workers=2)
    again.request("/predict", 200, 0.1)
    assert 'nbprod_requests_total{route="/predict",status="200"} 3' in again.text({})
