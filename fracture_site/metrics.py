"""What monitoring counts (``/metrics``), from the job table at the moment of asking.

Every web process answers alike, because the figures are rows of the database and not counters of
a process. No clinic, person or study can be told from them. Answered only to the bearer of
``METRICS_TOKEN``; without that setting there is no such page.
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from math import log
from typing import Any, Final

from django.conf import settings
from django.db import connection
from django.db.models import Aggregate, Count, ExpressionWrapper, F, Min, Q, QuerySet
from django.db.models.fields import DurationField
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector, CollectorRegistry

from diagnosis.models import Job, JobOverview
from diagnosis.models.studies import Verdict

RECENT: Final = timedelta(minutes=15)
_STAGES: Final = {
    "wait": ("started_at", "created_at", "from the upload to the start of the last attempt"),
    "work": ("finished_at", "started_at", "from the start of the last attempt to its end"),
}
_QUANTILES: Final = (0.5, 0.95)
_DAY: Final = timedelta(days=1)
_MONTH: Final = timedelta(days=28)
_ENOUGH: Final = 100  # results; the mix of fewer says nothing


class Percentile(Aggregate):
    """The value that a share of the rows does not exceed, interpolated."""

    function = "PERCENTILE_CONT"
    template = "%(function)s(%(share)s) WITHIN GROUP (ORDER BY %(expressions)s)"


class Jobs(Collector):
    """Reads the job table: seven queries, whatever its size."""

    def collect(self) -> Iterator[Metric]:
        """Yield what waits now, and how the jobs of the last quarter of an hour went."""
        yield from _waiting()
        recent = JobOverview.objects.filter(finished_at__gte=timezone.now() - RECENT)
        yield _ended(recent)
        yield from _durations(recent.filter(status=Job.Status.SUCCEEDED))
        yield from _results()


def _waiting() -> Iterator[Metric]:
    now = timezone.now()
    open_jobs = GaugeMetricFamily(
        "fracture_site_jobs_open", "Jobs by kind and state", labels=["kind", "state"]
    )
    oldest = GaugeMetricFamily(
        "fracture_site_oldest_queued_seconds",
        "For how long the oldest due job has been waiting; scale workers by it",
        labels=["kind"],
    )
    due = Q(status=Job.Status.QUEUED, due_at__lte=now)
    found = (
        JobOverview.objects.filter(status__in=[Job.Status.QUEUED, Job.Status.RUNNING])
        .values("kind")
        .annotate(
            queued=Count("pk", filter=Q(status=Job.Status.QUEUED)),
            running=Count("pk", filter=Q(status=Job.Status.RUNNING)),
            oldest=Min("due_at", filter=due),
        )
        .values_list("kind", "queued", "running", "oldest")
    )
    rows = {kind: rest for kind, *rest in found}
    for kind in _kinds():
        queued, running, since = rows.get(kind, (0, 0, None))
        open_jobs.add_metric([kind, "queued"], queued)
        open_jobs.add_metric([kind, "running"], running)
        oldest.add_metric([kind], (now - since).total_seconds() if since else 0.0)
    yield open_jobs
    yield oldest


def _ended(recent: "QuerySet[JobOverview]") -> Metric:
    metric = GaugeMetricFamily(
        "fracture_site_jobs_ended_recently",
        "Jobs that ended in the last 15 minutes",
        labels=["kind", "state", "error"],
    )
    counts = recent.values("kind", "status", "error_code").annotate(count=Count("pk"))
    for row in counts.order_by("kind", "status", "error_code"):
        metric.add_metric([row["kind"], row["status"], row["error_code"]], row["count"])
    return metric


def _durations(recent: "QuerySet[JobOverview]") -> Iterator[Metric]:
    for stage, (end, start, words) in _STAGES.items():
        metric = GaugeMetricFamily(
            f"fracture_site_job_{stage}_seconds",
            f"Seconds {words}, of the jobs that succeeded in the last 15 minutes",
            labels=["kind", "quantile"],
        )
        length = ExpressionWrapper(F(end) - F(start), output_field=DurationField())
        for share in _QUANTILES:
            value = Percentile(length, share=share, output_field=DurationField())
            found = recent.values("kind").annotate(value=value).values_list("kind", "value")
            for kind, span in found.order_by("kind"):
                if span is not None:  # a job that ended without ever being started has none
                    metric.add_metric([kind, str(share)], span.total_seconds())
        yield metric


def _results() -> Iterator[Metric]:
    """Yield what the model says in all clinics, how that changed, and how long each stage takes."""
    spans: list[Any] = [_DAY, _MONTH]
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM diagnosis_result_figures(%s, %s)", spans)
        rows: list[tuple[str, str, float]] = cursor.fetchall()
    verdicts = GaugeMetricFamily(
        "fracture_site_results_of_a_day", "Results of the last 24 hours", labels=["verdict"]
    )
    stages = GaugeMetricFamily(
        "fracture_site_analysis_stage_seconds",
        "Seconds of each stage of an analysis in the last 24 hours",
        labels=["stage", "quantile"],
    )
    new, before = ({label: n for f, label, n in rows if f == kind} for kind in ("new", "before"))
    for verdict in Verdict.values:
        verdicts.add_metric([verdict], new.get(verdict, 0))
    for figure, label, amount in rows:
        if figure.startswith("stage_"):
            stages.add_metric([label, figure.removeprefix("stage_")], amount / 1000)
    drift = GaugeMetricFamily(
        "fracture_site_verdict_drift",
        "Population stability index of the verdicts of the last 24 hours against the 28 days "
        "before; 0: the same mix, above 0.25: another one. Missing below 100 results in either",
    )
    if min(sum(new.values()), sum(before.values())) >= _ENOUGH:
        drift.add_metric([], _stability(new, before))
    yield verdicts
    yield stages
    yield drift


def _stability(new: Mapping[str, float], before: Mapping[str, float]) -> float:
    """Return the population stability index; half a result stands for none."""
    index = 0.0
    for verdict in Verdict.values:
        share = max(new.get(verdict, 0), 0.5) / sum(new.values())
        was = max(before.get(verdict, 0), 0.5) / sum(before.values())
        index += (share - was) * log(share / was)
    return index


def _kinds() -> list[str]:
    field = JobOverview._meta.get_field("kind")
    return [str(value) for value, _ in field.choices or ()]


_REGISTRY: Final = CollectorRegistry(auto_describe=False)
_REGISTRY.register(Jobs())


def metrics(request: HttpRequest) -> HttpResponse:
    """Answer in the text format of Prometheus.

    Raises:
        Http404: no token is set, or the request does not bear it.
    """
    token = settings.METRICS_TOKEN
    given = request.headers.get("Authorization", "")
    if not token or not constant_time_compare(given, f"Bearer {token}"):
        raise Http404
    response = HttpResponse(generate_latest(_REGISTRY), content_type=CONTENT_TYPE_LATEST)
    response["Cache-Control"] = "no-store"
    return response
