"""Answers that differ: found at the signature, rated, resolved; patients recalled to the end."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.http import Http404
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEvent
from accounts.policy import ActionDeniedError
from accounts.tenancy import clinic_scope
from diagnosis.documents.contracts import DocumentStatus
from diagnosis.documents.digest import report_digest
from diagnosis.models import Analysis, Discrepancy, Finding, PreliminaryRead, RecallTask
from diagnosis.selectors.discrepancies import discrepancies_for, discrepancy_get
from diagnosis.selectors.findings import reviewed_finding_get
from diagnosis.services.discrepancies import (
    discrepancy_rate,
    discrepancy_resolve,
    preliminary_read_give,
    recall_close,
    recall_contact_add,
)
from diagnosis.services.finding_reviews import finding_accept, finding_add, finding_reject
from diagnosis.services.report_documents import report_document, report_with_study
from diagnosis.services.reports import report_create, report_preview, report_sign
from diagnosis.services.study_results import study_refresh
from fracture_site.common.errors import ConflictError, RefusedInputError
from tests.diagnosis.documents.test_report_pdf import printed
from tests.diagnosis.test_reports import readable_study
from tests.factories import MembershipFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def doctor():
    return MembershipFactory(doctor=True)


@pytest.fixture
def study(doctor):
    study = readable_study(doctor)
    with clinic_scope(doctor.clinic_id):
        yield study


def sign(doctor, study):
    report = report_create(actor=doctor.user, study=study)
    draft = report.versions.get()
    draft.findings = "Read."
    draft.save()
    return report_sign(actor=doctor.user, report=report)


def decide(doctor, service, **values):
    found = reviewed_finding_get(user=doctor.user, pk=Finding.objects.get().pk)
    service(actor=doctor.user, found=found, revision=found.revision, **values)


def verdict(study, value):
    Finding.objects.all().delete()
    probability = None if value == "cannot_assess" else 0.05
    Analysis.objects.update(verdict=value, probability=probability)
    study_refresh(study_id=study.pk)


@pytest.mark.parametrize(
    ("said", "decision", "expected"),
    [
        ("definite", "reject", [("ai_report", "definite", "no")]),
        ("definite", "accept", []),
        ("definite", None, []),
        ("negative", "add", [("ai_report", "negative", "yes")]),
        ("negative", None, []),
        ("suspicion", None, []),
        ("cannot_assess", "add", []),
    ],
)
def test_a_report_that_contradicts_the_ai_is_noted(doctor, study, said, decision, expected):
    if said != "definite":
        verdict(study, said)
    if decision == "reject":
        decide(doctor, finding_reject, reason="artefact")
    elif decision == "accept":
        decide(doctor, finding_accept)
    elif decision == "add":
        finding_add(actor=doctor.user, image=study.images.get(), box=(1.0, 1.0, 50.0, 50.0))
    sign(doctor, study)
    assert list(Discrepancy.objects.values_list("kind", "first", "second")) == expected


@pytest.mark.parametrize(("answer", "noted"), [("no", True), ("yes", False), ("unsure", False)])
def test_a_report_that_contradicts_the_newest_preliminary_answer_is_noted(
    doctor, study, answer, noted
):
    preliminary_read_give(actor=doctor.user, study=study, answer="no" if answer == "yes" else "yes")
    preliminary_read_give(actor=doctor.user, study=study, answer=answer, note="quick look")
    decide(doctor, finding_accept)
    sign(doctor, study)
    assert Discrepancy.objects.filter(kind="preliminary").exists() == noted


def test_preliminary_answers_end_with_the_final_report(doctor, study):
    with pytest.raises(RefusedInputError):
        preliminary_read_give(actor=doctor.user, study=study, answer="perhaps")
    sign(doctor, study)
    with pytest.raises(ConflictError) as late:
        preliminary_read_give(actor=doctor.user, study=study, answer="no")
    assert late.value.code == "already_signed"
    technician = MembershipFactory(technician=True, clinic=doctor.clinic)
    with pytest.raises(ActionDeniedError):
        preliminary_read_give(actor=technician.user, study=study, answer="no")


@pytest.fixture
def missed(doctor, study) -> Discrepancy:
    """A fracture that the preliminary answer had missed."""
    preliminary_read_give(actor=doctor.user, study=study, answer="no")
    decide(doctor, finding_accept)
    sign(doctor, study)
    return Discrepancy.objects.get()


def contact(doctor, task, **values):
    given = {"contacted_at": timezone.now(), "way": "phone", "result": "reached", **values}
    return recall_contact_add(actor=doctor.user, task=task, **given)


def test_what_matters_opens_a_recall_that_has_to_be_closed_first(doctor, missed):
    with pytest.raises(ConflictError) as unrated:
        discrepancy_resolve(actor=doctor.user, discrepancy=missed, resolution="Told.")
    assert unrated.value.code == "not_rated"
    with pytest.raises(RefusedInputError):
        discrepancy_rate(actor=doctor.user, discrepancy=missed, severity="unrated")
    for _twice in range(2):
        discrepancy_rate(actor=doctor.user, discrepancy=missed, severity="major")
    task = RecallTask.objects.get()
    for refused, code in (
        (lambda: discrepancy_rate(actor=doctor.user, discrepancy=missed, severity="minor"),
         "recall_open"),
        (lambda: discrepancy_resolve(actor=doctor.user, discrepancy=missed, resolution="x"),
         "recall_open"),
        (lambda: recall_close(actor=doctor.user, task=task, outcome="informed"), "no_contact"),
    ):  # fmt: skip
        with pytest.raises(ConflictError) as waiting:
            refused()
        assert waiting.value.code == code
    contact(doctor, task, result="not_reached")
    contact(doctor, task, way="letter", result="sent")
    with pytest.raises(RefusedInputError):
        recall_close(actor=doctor.user, task=task, outcome="forgotten")
    recall_close(actor=doctor.user, task=task, outcome="returns")
    for refused in (
        lambda: contact(doctor, task),
        lambda: recall_close(actor=doctor.user, task=task, outcome="informed"),
    ):
        with pytest.raises(ConflictError) as closed:
            refused()
        assert closed.value.code == "recall_closed"
    with pytest.raises(RefusedInputError):
        discrepancy_resolve(actor=doctor.user, discrepancy=missed, resolution=" ")
    discrepancy_resolve(actor=doctor.user, discrepancy=missed, resolution="Cast put on.")
    with pytest.raises(ConflictError) as again:
        discrepancy_resolve(actor=doctor.user, discrepancy=missed, resolution="x")
    assert again.value.code == "already_resolved"
    assert not discrepancies_for(user=doctor.user).exists()
    assert discrepancies_for(user=doctor.user, open_only=False).count() == 1


@pytest.mark.parametrize(
    "values",
    [{"way": "pigeon"}, {"result": "maybe"}, {"contacted_at": timezone.now() + timedelta(days=1)}],
)
def test_contacts_that_cannot_be_are_refused(doctor, missed, values):
    discrepancy_rate(actor=doctor.user, discrepancy=missed, severity="major")
    with pytest.raises(RefusedInputError):
        contact(doctor, RecallTask.objects.get(), **values)


def test_who_may_rate_resolve_and_recall(doctor, missed):
    technician = MembershipFactory(technician=True, clinic=doctor.clinic)
    admin = MembershipFactory(clinic_admin=True, clinic=doctor.clinic)
    for member in (technician, admin):
        with pytest.raises(ActionDeniedError):
            discrepancy_rate(actor=member.user, discrepancy=missed, severity="minor")
    discrepancy_rate(actor=doctor.user, discrepancy=missed, severity="major")
    task = RecallTask.objects.get()
    contact(technician, task)
    with pytest.raises(ActionDeniedError):
        contact(admin, task)


def test_another_clinic_sees_none(missed):
    stranger = MembershipFactory(doctor=True)
    with clinic_scope(stranger.clinic_id):
        assert not discrepancies_for(user=stranger.user, open_only=False).exists()
        with pytest.raises(Http404):
            discrepancy_get(user=stranger.user, pk=missed.pk)


def test_every_step_is_on_record_without_words_about_the_patient(doctor, missed):
    discrepancy_rate(actor=doctor.user, discrepancy=missed, severity="major")
    contact(doctor, RecallTask.objects.get())
    recall_close(actor=doctor.user, task=RecallTask.objects.get(), outcome="treated")
    discrepancy_resolve(actor=doctor.user, discrepancy=missed, resolution="Zimmermann is fine")
    events = AuditEvent.objects.filter(
        action__regex=r"^(preliminary|discrepancy|recall)\."
    ).order_by("id")
    assert [event.action for event in events] == [
        "preliminary.give", "discrepancy.open", "discrepancy.rate", "recall.open",
        "recall.contact", "recall.close", "discrepancy.resolve",
    ]  # fmt: skip
    assert "Zimmermann" not in str([event.details for event in events])


@pytest.fixture
def signed_in(client, doctor):
    client.force_login(doctor.user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def test_the_page_leads_to_the_end(signed_in, doctor, study, missed):
    url = reverse("diagnosis:discrepancies")
    page = signed_in.get(url).content.decode()
    assert "Preliminary and final report" in page
    assert "No fracture → Fracture" in page
    act = lambda what: reverse("diagnosis:discrepancy-action", args=[missed.pk, what])  # noqa: E731
    signed_in.post(act("rate"), {"severity": "major"})
    recall = RecallTask.objects.get()
    contact_url = reverse("diagnosis:recall-action", args=[recall.pk, "contact"])
    signed_in.post(contact_url, {"contacted_at": "yesterday"})
    assert b"Say when" in signed_in.get(url).content
    signed_in.post(
        contact_url, {"contacted_at": "2026-01-02T03:04", "way": "phone", "result": "reached"}
    )
    signed_in.post(
        reverse("diagnosis:recall-action", args=[recall.pk, "close"]), {"outcome": "informed"}
    )
    signed_in.post(act("resolve"), {"resolution": "All told."})
    assert b"No open discrepancy" in signed_in.get(url).content
    assert b"All told." in signed_in.get(url + "?all=1").content
    assert signed_in.post(act("explode")).status_code == 404


def test_the_study_shows_what_is_preliminary(signed_in, doctor, study):
    url = reverse("diagnosis:preliminary", args=[study.pk])
    signed_in.post(url, {"answer": "no", "note": "Discharged"})
    page = signed_in.get(reverse("diagnosis:study-detail", args=[study.pk])).content.decode()
    assert "Preliminary, not the final report" in page
    assert "Discharged" in page
    assert PreliminaryRead.objects.count() == 1


def test_a_stranger_gets_404(client, missed):
    stranger = MembershipFactory(doctor=True)
    client.force_login(stranger.user, backend="allauth.account.auth_backends.AuthenticationBackend")
    for name, args in (
        ("discrepancy-action", [missed.pk, "rate"]),
        ("preliminary", [missed.study_id]),
    ):
        assert client.post(reverse(f"diagnosis:{name}", args=args)).status_code == 404


def test_the_list_costs_the_same_queries_however_long(
    signed_in, doctor, missed, django_assert_max_num_queries
):
    url = reverse("diagnosis:discrepancies")
    signed_in.get(url)
    counts = []
    for _round in range(2):
        with django_assert_max_num_queries(30) as captured:
            signed_in.get(url)
        counts.append(len(captured))
        for number in range(2, 5):
            row = Discrepancy.objects.create(
                clinic_id=missed.clinic_id, study_id=missed.study_id, kind="readers",
                version_number=number, first="agreed", second="disagreed",
            )  # fmt: skip
            discrepancy_rate(actor=doctor.user, discrepancy=row, severity="major")
    assert counts[1] - counts[0] <= 1  # the contacts of the first recall


def test_the_report_prints_preliminary_answers_as_such(doctor, study):
    preliminary_read_give(actor=doctor.user, study=study, answer="no", note="First look")
    report = report_create(actor=doctor.user, study=study)
    words = printed(report_preview(actor=doctor.user, report=report))
    assert "Preliminary answers before this report, not the report itself" in words
    assert doctor.user.display_name in words
    assert "First look" in words
    draft = report.versions.get()
    draft.findings = "Read."
    draft.save()
    signed = report_sign(actor=doctor.user, report=report)
    document = report_document(
        version=signed, study=report_with_study(report), status=DocumentStatus.FINAL,
        at=timezone.now(), signer_name="Dr. Example",
    )  # fmt: skip
    [early] = document.early_answers
    assert (early.author_name, early.note) == (doctor.user.display_name, "First look")
    assert report_digest(document) != report_digest(replace(document, early_answers=()))
