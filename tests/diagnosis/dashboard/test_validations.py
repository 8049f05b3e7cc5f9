"""Site validations: the figures against a calculation by hand, the job, who may, the PDF."""

import random
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.urls import reverse

from accounts.models import AuditEvent
from accounts.policy import ActionDeniedError
from accounts.tenancy import clinic_scope
from diagnosis.models import SiteValidation
from diagnosis.selectors.proportions import Share
from diagnosis.selectors.validation_cases import validation_cases
from diagnosis.services.site_validations import validation_pdf, validation_request
from diagnosis.services.validation_runs import validation_claim_next
from diagnosis.site_figures import site_figures
from diagnosis.tasks import run_next_validation, run_validation
from fracture_site.common.errors import ConflictError, RefusedInputError
from ml.metrics import auroc
from tests.diagnosis.dashboard.test_validation_words import cases
from tests.diagnosis.test_reports import text_of
from tests.factories import (
    AnalysisFactory,
    ClinicFactory,
    MembershipFactory,
    ModelVersionFactory,
    PatientFactory,
    ShadowRunFactory,
    StudyImageFactory,
)
from tests.support.clinic_days import Case, signed, stored

pytestmark = pytest.mark.django_db
ZONE = ZoneInfo("Asia/Tokyo")
START = datetime(2026, 4, 1, 9, tzinfo=ZONE)
DAYS = {"first": date(2026, 4, 1), "last": date(2026, 4, 30)}


@pytest.fixture
def admin():
    return MembershipFactory(clinic_admin=True, clinic=ClinicFactory(time_zone="Asia/Tokyo"))


@pytest.fixture
def version():
    return ModelVersionFactory(name="detector", version="2")


def verdict_of(probability):
    return "definite" if probability >= 0.7 else "suspicion" if probability >= 0.2 else "negative"


def read(member, version, truth, *probabilities, at=START, patient=None, view="PA", **analysis):
    """Store a reported study with one image for each probability (``None``: cannot assess)."""
    case = stored(member, Case(at, answer=truth), patient=patient)
    for probability in probabilities:
        image = StudyImageFactory(study=case.study, view_position=view)
        AnalysisFactory(
            image=image,
            succeeded=True,
            model_version=version,
            probability=probability,
            verdict="cannot_assess" if probability is None else verdict_of(probability),
            **analysis,
        )
    return case.study


def cases_of(member, version):
    with clinic_scope(member.clinic_id):
        return validation_cases(clinic=member.clinic, version=version, **DAYS)


def made(admin, version):
    """Ask, let a worker do it, and return the finished row."""
    with clinic_scope(admin.clinic_id):
        row = validation_request(
            actor=admin.user, clinic_id=admin.clinic_id, version=version, **DAYS
        )
    assert run_next_validation() == 1
    with clinic_scope(admin.clinic_id):
        row.refresh_from_db()
    return row


def test_the_figures_are_those_of_a_calculation_by_hand(admin, version):
    dice = random.Random(3)  # noqa: S311 - no secret
    patients = [
        PatientFactory(clinic=admin.clinic, birth_date=date(1930 + 3 * n, 5, 1)) for n in range(25)
    ]
    truth, scores, by_patient = [], [], set()
    for number in range(60):
        fractured, patient = number % 2 == 0, dice.choice(patients)
        probability = min(0.99, max(0.01, dice.gauss(0.6 if fractured else 0.3, 0.25)))
        read(
            admin, version, "yes" if fractured else "no", probability, probability / 2,
            patient=patient, at=START + timedelta(hours=number),
            warnings=["hardware"] if number % 5 == 0 else [],
        )  # fmt: skip
        truth.append(fractured)
        scores.append(probability)
        by_patient.add(patient.pk)

    row = made(admin, version)

    assert (row.status, row.progress) == ("succeeded", 100)
    whole = row.result["all"]
    assert (whole["studies"], whole["fractured"], whole["patients"]) == (60, 30, len(by_patient))
    for point, limit in (("suspicion", 0.2), ("definite", 0.7)):
        said = [score >= limit for score in scores]
        hits = sum(s for s, t in zip(said, truth, strict=True) if t)
        cleared = sum(not s for s, t in zip(said, truth, strict=True) if not t)
        for name, right in (("sensitivity", hits), ("specificity", cleared)):
            found = whole[f"{name}_{point}"]
            assert (found["hits"], found["n"]) == (right, 30)
            assert found["value"] == pytest.approx(right / 30, abs=1e-4)
            low, high = Share(right, 30).interval
            assert found["ci95"][0] <= low + 1e-4
            assert found["ci95"][1] >= high - 1e-4
    assert whole["auroc"]["value"] == pytest.approx(auroc(truth, scores), abs=1e-4)
    assert whole["auroc"]["ci95"][0] < whole["auroc"]["value"] < whole["auroc"]["ci95"][1]
    groups = row.result["groups"]
    for dimension in ("region", "age", "hardware", "view"):
        assert sum(found["studies"] for found in groups[dimension].values()) == 60
    assert groups["hardware"]["with"]["studies"] == 12
    assert groups["hardware"]["with"]["sensitivity_suspicion"]["value"] is None  # too few
    assert set(groups["age"]) <= {"0-17", "18-39", "40-64", "65+"}
    assert list(groups["view"]) == ["frontal"]
    missed = [s for s, t in zip(scores, truth, strict=True) if t and s < 0.2]
    assert row.result["missed_count"] == len(missed)
    assert [m["probability"] for m in row.result["missed"]] == [
        pytest.approx(score, abs=1e-4) for score in sorted(missed)
    ]


def test_every_study_is_compared_or_left_out_for_one_reason(admin, version):
    other = ModelVersionFactory(name="detector", version="1")
    read(admin, version, "yes", 0.1, None)  # the image that could be assessed speaks
    read(admin, version, "", 0.9)  # nobody has signed
    read(admin, version, "unsure", 0.9)
    read(admin, version, "no", None, None)  # could not assess it
    read(admin, other, "no", 0.9)  # read by another version only
    half = read(admin, version, "no", 0.9)
    AnalysisFactory(image=StudyImageFactory(study=half), failed=True)
    withdrawn = stored(admin, Case(START, answer="yes", withdrawn=True))
    AnalysisFactory(
        image=StudyImageFactory(study=withdrawn.study), succeeded=True, model_version=version
    )
    read(admin, version, "yes", 0.9, at=START - timedelta(hours=9, seconds=1))  # the day before
    read(admin, version, "yes", 0.9, at=datetime(2026, 5, 1, tzinfo=ZONE))  # the day after
    read(MembershipFactory(doctor=True), version, "yes", 0.9)  # elsewhere

    found = cases_of(admin, version)

    assert dict(found.left_out) == {
        "not_reported": 2, "undecided": 1, "cannot_assess": 1, "no_result": 2,
    }  # fmt: skip
    [case] = found.compared
    assert (case.fractured, case.verdict, case.probability) == (True, "negative", 0.1)
    assert found.studies == 7


def test_the_worst_image_and_the_newest_run_of_the_version_speak(admin, version):
    study = read(admin, version, "yes", 0.3, 0.8, 0.1)
    with clinic_scope(admin.clinic_id):
        again = study.images.order_by("created_at").last()
    AnalysisFactory(
        image=again, succeeded=True, model_version=version, probability=0.95, region="leg"
    )
    AnalysisFactory(image=again, succeeded=True, probability=0.99)  # another version, later
    [case] = cases_of(admin, version).compared
    assert (case.probability, case.verdict, case.region) == (0.95, "definite", "leg")


def test_a_shadow_is_validated_by_its_shadow_runs(admin, version):
    active = ModelVersionFactory(name="detector", version="1")
    study = read(admin, active, "no", 0.9, warnings=["hardware"])
    with clinic_scope(admin.clinic_id):
        analysis = study.images.get().analyses.get()
    ShadowRunFactory(
        analysis=analysis, model_version=version, succeeded=True, verdict="negative",
        probability=0.05,
    )  # fmt: skip
    [case] = cases_of(admin, version).compared
    assert (case.verdict, case.probability, case.hardware) == ("negative", 0.05, "with")


def test_a_corrected_report_counts_by_its_newest_version(admin, version):
    study = read(admin, version, "yes", 0.05)
    signed(admin, study.report, Case(START), "no", number=2)
    row = made(admin, version)
    assert row.result["all"]["fractured"] == 0
    assert row.result["missed"] == []


def test_no_interval_is_narrower_than_its_cases_allow():
    told = []
    figures = site_figures(cases(34, 40, sensitivity=1.0), progress=told.append)["all"]
    assert figures["sensitivity_suspicion"]["value"] == 1.0
    assert figures["sensitivity_suspicion"]["ci95"][0] < 0.9  # of 34 patients
    assert told == sorted(told)
    assert told[-1] == 100
    few = site_figures(cases(9, 40), progress=told.append)["all"]
    assert few["sensitivity_suspicion"] == {"hits": 9, "n": 9, "value": None, "ci95": None}
    assert few["auroc"]["value"] is None
    assert few["specificity_suspicion"]["value"] == 1.0


def test_only_one_of_a_version_is_made_at_a_time_and_days_are_ordered(admin, version):
    def ask(**options):
        with clinic_scope(admin.clinic_id):
            return validation_request(
                actor=admin.user, clinic_id=admin.clinic_id,
                **{"version": version, **DAYS, **options},
            )  # fmt: skip

    with pytest.raises(RefusedInputError, match="days_unusable"):
        ask(first=date(2026, 5, 1))
    ask()
    with pytest.raises(ConflictError, match="validation_open"):
        ask()
    ask(version=ModelVersionFactory())
    assert run_next_validation() == 2
    assert run_next_validation() == 0
    ask()


def test_a_worker_that_lost_the_claim_stores_nothing_and_errors_end_with_a_code(
    admin, version, monkeypatch
):
    with clinic_scope(admin.clinic_id):
        row = validation_request(
            actor=admin.user, clinic_id=admin.clinic_id, version=version, **DAYS
        )
    slow = validation_claim_next()
    with clinic_scope(admin.clinic_id):
        SiteValidation.objects.update(status="queued", token=None, lease_expires_at=None)
    run_validation(slow)
    with clinic_scope(admin.clinic_id):
        row.refresh_from_db()
    assert (row.status, row.result) == ("queued", None)

    def broken(*_args, **_options):
        raise ValueError

    monkeypatch.setattr("diagnosis.services.validation_runs.site_figures", broken)
    for _attempt in range(3):
        with clinic_scope(admin.clinic_id):
            SiteValidation.objects.filter(status="queued").update(due_at=START)
        run_next_validation()
    with clinic_scope(admin.clinic_id):
        row.refresh_from_db()
        assert (row.status, row.error_code) == ("failed", "internal")
        assert AuditEvent.objects.filter(action="validation.failed").count() == 1


def test_pages_and_pdf_show_studies_by_id_and_no_name(client, admin, version):
    patient = PatientFactory(
        clinic=admin.clinic, family_name="Quixote", given_name="Alonso", record_number="MRN-SECRET"
    )
    study = read(admin, version, "yes", 0.05, patient=patient)
    for _ in range(11):
        read(admin, version, "yes", 0.9)
    client.force_login(admin.user)
    page = client.post(
        reverse("diagnosis:validation-list"),
        {"version": version.pk, "first": "2026-04-01", "last": "2026-04-30"},
        follow=True,
    )
    html = page.content.decode()
    assert 'hx-trigger="every 2s"' in html
    [url] = [url for url, _status in page.redirect_chain]
    assert client.get(f"{url}pdf/", follow=True).redirect_chain  # told that it is not ready
    assert run_next_validation() == 1
    assert client.get(f"{url}status/").headers["HX-Refresh"] == "true"

    html = client.get(url).content.decode()
    pdf = client.get(f"{url}pdf/")
    text = " ".join(text_of(pdf.content).split())
    for shown in (html, text):
        assert str(study.pk) in shown
        assert "Quixote" not in shown
        assert "MRN-SECRET" not in shown
        assert "With 12 fractured studies the sensitivity could be anywhere from" in shown
        assert "Research use only. Not a medical device." in shown
    assert reverse("diagnosis:study-detail", args=[study.pk]) in html
    assert pdf["Content-Type"] == "application/pdf"
    assert client.get(f"{url}pdf/").content == pdf.content
    with clinic_scope(admin.clinic_id):
        actions = set(AuditEvent.objects.values_list("action", flat=True))
    assert {
        "validation.request", "validation.succeeded", "validation.open", "validation.print",
    } <= actions  # fmt: skip


def test_who_may_ask_who_may_look_and_nobody_of_another_clinic(client, admin, version):
    row = made(admin, version)
    url = reverse("diagnosis:validation-detail", args=[row.pk])
    ask = {"version": version.pk, "first": "2026-04-01", "last": "2026-04-30"}
    listed = reverse("diagnosis:validation-list")
    for role, looks, asks in (("doctor", 200, 403), ("technician", 403, 403)):
        client.force_login(MembershipFactory(clinic=admin.clinic, **{role: True}).user)
        assert client.get(url).status_code == client.get(f"{url}pdf/").status_code == looks
        assert client.get(listed).status_code == looks
        assert client.post(listed, ask).status_code == asks
    stranger = MembershipFactory(clinic_admin=True)
    client.force_login(stranger.user)
    for path in ("", "pdf/", "status/"):
        assert client.get(f"{url}{path}").status_code == 404
    assert str(row.pk) not in client.get(listed).content.decode()
    with clinic_scope(admin.clinic_id), pytest.raises(ActionDeniedError):
        validation_pdf(actor=stranger.user, validation=row)


def test_reading_a_clinic_takes_the_same_queries_for_many_studies(
    admin, version, django_assert_num_queries
):
    for number in range(4):
        read(admin, version, "yes", 0.5, at=START + timedelta(days=number))
        with clinic_scope(admin.clinic_id), django_assert_num_queries(4):
            validation_cases(clinic=admin.clinic, version=version, **DAYS)
