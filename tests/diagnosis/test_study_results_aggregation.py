"""One verdict from several images: worst first, honest about gaps, the same break counted once."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from diagnosis.services.study_aggregation import ReportInput, StudyInput, study_aggregate
from diagnosis.services.study_findings import FindingInput, ImageInput
from diagnosis.services.study_urgency import Ranking, urgency_score

NOW = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
MODEL = {"name": "detector", "version": "1", "sha256": "a" * 64}


def finding(name: str, *, y: float = 100, probability: float = 0.9) -> FindingInput:
    certainty = "definite" if probability >= 0.7 else "suspicion"
    return FindingInput(name, (10.04, y, 30, 40), probability, certainty)


def image(name: str, verdict: str = "", probability: float | None = None, **values) -> ImageInput:
    defaults = {
        "width": 400,
        "height": 500,
        "created_at": NOW,
        "status": "succeeded" if verdict else "queued",
        "region": "hand_arm" if verdict else "",
        "model": MODEL if verdict else None,
        "thresholds": {"suspicion": 0.3, "definite": 0.7} if verdict else None,
    }
    return ImageInput(id=name, verdict=verdict, probability=probability, **(defaults | values))


def aggregate(*images: ImageInput, priority=2, side="", report=None):
    return study_aggregate(StudyInput(priority, side, tuple(images), report))


IMAGES = [
    image("definite", "definite", 0.8),
    image("surer", "definite", 0.95),
    image("suspicion", "suspicion", 0.5),
    image("negative", "negative", 0.1),
    image("unclear", "cannot_assess", None, region=""),
    image("waiting"),
]


def test_images_are_listed_worst_first_in_whatever_order_they_came():
    expected = ["surer", "definite", "suspicion", "negative", "unclear", "waiting"]
    for order in permutations(IMAGES):
        result = aggregate(*order).result
        assert [entry["id"] for entry in result["images"]] == expected


def test_the_studys_answer_is_that_of_its_worst_image():
    answer = aggregate(*IMAGES)

    assert (answer.verdict, answer.probability) == ("definite", 0.95)
    assert answer.result["verdict"] == "definite"
    assert answer.result["probability"] == max(i.probability or 0 for i in IMAGES)


def test_the_result_says_that_its_probability_is_one_images_and_not_the_studys():
    alone, several = aggregate(IMAGES[0]), aggregate(*IMAGES)

    assert alone.result["probability_of"] == several.result["probability_of"] == "highest_image"


def test_cannot_assess_only_when_no_image_can_be():
    unclear = image("unclear", "cannot_assess", None, reasons=("blurred",))

    assert aggregate(unclear, image("n", "negative", 0.1)).verdict == "negative"
    alone = aggregate(unclear)
    assert (alone.verdict, alone.probability, alone.status) == ("cannot_assess", None, "ready")
    assert alone.result["images"][0]["reasons"] == ["blurred"]


def test_an_image_without_result_makes_the_study_incomplete():
    seen = image("seen", "negative", 0.1)

    assert aggregate(seen).result["incomplete"] is False
    assert aggregate(seen, image("waiting")).result["incomplete"] is True
    failed = image("f", status="failed", error_code="damaged_file")
    answer = aggregate(seen, failed)
    assert (answer.status, answer.result["incomplete"]) == ("ready", True)
    assert answer.result["images"][1]["error_code"] == "damaged_file"


def test_a_repeated_run_that_failed_does_not_take_the_old_result_away():
    answer = aggregate(image("i", "definite", 0.9, status="failed", error_code="internal"))

    assert (answer.status, answer.verdict) == ("ready", "definite")
    assert answer.result["images"][0]["error_code"] == "internal"


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([], "empty"),
        (["queued"], "queued"),
        (["queued", "running"], "running"),
        (["failed", "queued"], "queued"),
        (["failed"], "failed"),
        (["cancelled", "failed"], "failed"),
        ([""], "failed"),
    ],
)
def test_status_without_results(states, expected):
    answer = aggregate(*(image(str(n), status=state) for n, state in enumerate(states)))

    assert answer.status == expected
    assert answer.result is None


def test_different_model_versions_are_said_to_be_mixed():
    newer = {"name": "detector", "version": "2", "sha256": "b" * 64}
    answer = aggregate(
        image("old", "suspicion", 0.6),
        image("new", "definite", 0.5, model=newer, thresholds={"suspicion": 0.2, "definite": 0.4}),
    )

    assert answer.result["mixed_models"] is True
    assert answer.result["model"] == newer
    assert answer.result["thresholds"] == {"suspicion": 0.2, "definite": 0.4}
    assert [entry["model"]["version"] for entry in answer.result["images"]] == ["2", "1"]
    assert aggregate(*IMAGES).result["mixed_models"] is False


def test_severity_is_the_worst_and_region_that_of_the_worst_image():
    answer = aggregate(
        image("a", "definite", 0.9, severity="mild", region=""),
        image("b", "suspicion", 0.4, severity="severe", region="leg"),
        image("c", "negative", 0.1, severity="unheard of", region="hip"),
    )

    assert (answer.severity, answer.region) == ("severe", "leg")


def test_timings_are_summed_for_each_stage():
    answer = aggregate(
        image("a", "negative", 0.1, timings_ms={"decode": 1.5, "total": 3}),
        image("b", "negative", 0.1, timings_ms={"decode": 2, "total": 4}),
    )

    assert answer.result["timings_ms"] == {"decode": 3.5, "total": 7}


class TestTheSameBreakInTwoViews:
    def two(self, **changes):
        a = image("a", "definite", 0.9, findings=(finding("fa"),), view_position="PA")
        b = image(
            "b", "definite", 0.8, findings=(finding("fb", probability=0.6),), view_position="LL"
        )
        return a, replace(b, **changes)

    def test_is_one_finding_with_two_places(self):
        (entry,) = aggregate(*self.two()).result["findings"]

        assert entry["places"] == [
            {"image": "a", "finding": "fa"},
            {"image": "b", "finding": "fb"},
        ]
        assert (entry["number"], entry["probability"], entry["certainty"]) == (1, 0.9, "definite")

    def test_also_when_two_images_do_not_say_their_view(self):
        a, b = self.two(view_position="")

        assert len(aggregate(a, b).result["findings"]) == 1

    @pytest.mark.parametrize(
        "changes",
        [
            {"region": "leg"},
            {"region": ""},
            {"view_position": "PA"},
            {"findings": (finding("fb"), finding("fc", y=300))},
            {"findings": (finding("fb", y=400),)},
        ],
        ids=["other region", "no region", "same view", "two findings", "other height"],
    )
    def test_is_not_claimed_when_something_speaks_against_it(self, changes):
        a, b = self.two(**changes)

        entries = aggregate(a, b).result["findings"]
        assert all(len(entry["places"]) == 1 for entry in entries)
        assert len(entries) == len(a.findings) + len(b.findings)

    def test_is_not_claimed_across_sides(self):
        a, b = self.two(laterality="R")

        assert len(aggregate(replace(a, laterality="L"), b).result["findings"]) == 2
        assert len(aggregate(a, b, side="both").result["findings"]) == 2

    def test_is_not_claimed_when_a_third_image_leaves_the_view_open(self):
        a, b = self.two(view_position="")
        third = image("c", "negative", 0.1)

        assert len(aggregate(a, b, third).result["findings"]) == 2


def signed(*known: str, at: datetime = NOW) -> ReportInput:
    return ReportInput(signed_at=at, image_ids=frozenset(known))


def test_a_signed_report_makes_the_study_reported_and_nothing_urgent():
    answer = aggregate(image("a", "definite", 0.99), priority=0, report=signed("a"))

    assert (answer.status, answer.urgency, answer.new_image_after_report) == ("reported", 0, False)


def test_an_image_that_the_report_does_not_know_brings_the_study_back():
    answer = aggregate(image("a", "negative", 0.1), image("b"), report=signed("a"))

    assert (answer.status, answer.new_image_after_report) == ("reported", True)
    assert answer.urgency > 0
    assert "new_image_after_report" in answer.result["urgency_reasons"]


def test_a_report_that_names_no_images_is_compared_by_time():
    late = image("late", "negative", 0.1, created_at=NOW + timedelta(seconds=1))
    report = ReportInput(signed_at=NOW, image_ids=None)

    assert aggregate(image("a", "negative", 0.1), report=report).new_image_after_report is False
    assert aggregate(late, report=report).new_image_after_report is True


def rank(status="ready", verdict="", probability=None, priority=2) -> float:
    ranking = Ranking(status, verdict, probability, priority, new_image_after_report=False)
    return urgency_score(ranking)


def test_the_worklists_order_is_that_of_danger():
    ordered = [
        rank(verdict="definite", probability=0.9, priority=0),
        rank(verdict="suspicion", probability=0.5, priority=0),
        rank(verdict="definite", probability=0.9),
        rank(verdict="definite", probability=0.7),
        rank(verdict="negative", probability=0.0, priority=0),
        rank(verdict="suspicion", probability=0.5),
        rank(verdict="cannot_assess"),
        rank(status="queued"),
        rank(verdict="negative", probability=0.05),
    ]

    assert ordered == sorted(ordered, reverse=True)
    assert len(set(ordered)) == len(ordered)


def test_cases_that_are_alike_rank_the_same_so_that_age_decides():
    assert rank(verdict="definite", probability=0.91) == rank(verdict="definite", probability=0.98)
    assert rank(verdict="definite", probability=1.0) == rank(verdict="definite", probability=0.9)
    assert rank(status="failed") == rank(verdict="cannot_assess")
