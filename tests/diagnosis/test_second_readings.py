"""Second readers, withdrawn reports, macros, texts that a conflict would have lost."""

from uuid import uuid4

import pytest
from django.urls import reverse

from accounts.models import AuditEvent, Clinic
from accounts.policy import ActionDeniedError
from accounts.tenancy import clinic_scope
from diagnosis.models import Discrepancy, DraftCopy, Finding, ReportVersion, Study, TextMacro
from diagnosis.selectors.drafting import macro_texts, second_reading_open
from diagnosis.selectors.findings import reviewed_finding_get
from diagnosis.selectors.verification import report_verification
from diagnosis.services.drafting import macro_delete, macro_save
from diagnosis.services.finding_reviews import finding_accept, finding_change, finding_reject
from diagnosis.services.reports import (
    report_amend,
    report_create,
    report_draft_update,
    report_pdf,
    report_sign,
)
from diagnosis.services.second_readings import (
    report_finish,
    second_reading_agree,
    second_reading_disagree,
    second_reading_withdraw,
)
from diagnosis.services.withdrawals import report_withdraw
from diagnosis.web.report_reviews import text_changes
from fracture_site.common.errors import ConflictError, PreconditionError, RefusedInputError
from tests.diagnosis.test_reports import readable_study, text_of
from tests.factories import PASSWORD, MembershipFactory, StudyKeyImageFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def doctor():
    return MembershipFactory(doctor=True, user__full_name="Erste Leserin")


@pytest.fixture
def colleague(doctor):
    return MembershipFactory(doctor=True, clinic=doctor.clinic, user__full_name="Zweiter Leser")


@pytest.fixture
def study(doctor):
    study = readable_study(doctor)
    with clinic_scope(doctor.clinic_id):
        yield study


@pytest.fixture
def report(doctor, study):
    return report_create(actor=doctor.user, study=study)


def rule(doctor, value):
    Clinic.objects.filter(pk=doctor.clinic_id).update(second_reader=value)


def fresh(report):
    return type(report).objects.select_related("clinic", "study").get(pk=report.pk)


def decided(doctor, service, **values):
    found = reviewed_finding_get(user=doctor.user, pk=Finding.objects.get().pk)
    return service(actor=doctor.user, found=found, revision=found.revision, **values)


@pytest.mark.parametrize(
    ("value", "asked", "waits"),
    [
        ("never", True, False), ("on_request", False, False), ("on_request", True, True),
        ("definite", False, True),
    ],
)  # fmt: skip
def test_the_clinics_rule_decides_who_waits_for_a_second_reader(
    doctor, report, value, asked, waits
):
    rule(doctor, value)
    version = report_finish(actor=doctor.user, report=fresh(report), second_reader=asked)
    assert version.status == ("draft" if waits else "signed")
    assert bool(second_reading_open(user=doctor.user, report=report)) == waits


def test_a_report_without_a_fracture_needs_no_second_reader(doctor, report):
    rule(doctor, "definite")
    decided(doctor, finding_reject, reason="artefact")
    assert report_finish(actor=doctor.user, report=fresh(report)).status == "signed"


def test_who_agrees_makes_the_report_final_and_both_names_stand_on_it(
    doctor, colleague, study, report
):
    rule(doctor, "definite")
    report_finish(actor=doctor.user, report=fresh(report))
    with pytest.raises(ConflictError) as same:
        second_reading_agree(actor=doctor.user, report=report)
    assert same.value.code == "same_reader"
    version = second_reading_agree(actor=colleague.user, report=report)
    assert (version.signed_by, version.second_signer) == (doctor.user, colleague.user)
    _version, pdf = report_pdf(actor=doctor.user, report=report)
    assert "Erste Leserin" in text_of(pdf)
    assert "Second reader: Zweiter Leser" in text_of(pdf)
    with pytest.raises(ConflictError):
        second_reading_agree(actor=colleague.user, report=report)


def test_while_it_waits_nothing_changes_and_the_first_reader_can_take_it_back(
    doctor, colleague, report
):
    rule(doctor, "on_request")
    report_finish(actor=doctor.user, report=fresh(report), second_reader=True)
    for refused in (
        lambda: report_draft_update(actor=doctor.user, report=report, revision=1, findings="x"),
        lambda: report_sign(actor=doctor.user, report=report),
        lambda: report_finish(actor=colleague.user, report=fresh(report)),
        lambda: decided(doctor, finding_accept),
    ):
        with pytest.raises(ConflictError) as waiting:
            refused()
        assert waiting.value.code == "awaiting_second_reader"
    with pytest.raises(ConflictError) as other:
        second_reading_withdraw(actor=colleague.user, report=report)
    assert other.value.code == "other_reader"
    second_reading_withdraw(actor=doctor.user, report=report)
    report_draft_update(actor=doctor.user, report=report, revision=1, findings="x")
    with pytest.raises(ConflictError) as over:
        second_reading_agree(actor=colleague.user, report=report)
    assert over.value.code == "not_awaiting"


def test_who_disagrees_says_why_and_opens_a_discrepancy(doctor, colleague, report):
    rule(doctor, "on_request")
    report_finish(actor=doctor.user, report=fresh(report), second_reader=True)
    with pytest.raises(RefusedInputError):
        second_reading_disagree(actor=colleague.user, report=report, remark="  ")
    second_reading_disagree(actor=colleague.user, report=report, remark="I see no line.")
    discrepancy = Discrepancy.objects.get()
    assert (discrepancy.kind, discrepancy.remark) == ("readers", "I see no line.")
    report_draft_update(actor=doctor.user, report=report, revision=1, findings="Again.")
    assert report_finish(actor=doctor.user, report=fresh(report)).status == "signed"


def test_an_image_that_arrives_meanwhile_stops_the_second_signature(doctor, colleague, report):
    rule(doctor, "on_request")
    report_finish(actor=doctor.user, report=fresh(report), second_reader=True)
    ReportVersion.objects.update(basis="0" * 64)
    with pytest.raises(PreconditionError):
        second_reading_agree(actor=colleague.user, report=report)
    assert second_reading_open(user=doctor.user, report=report) is not None


@pytest.mark.parametrize("role", ["technician", "clinic_admin"])
def test_only_doctors_read_second_and_withdraw(doctor, report, role):
    rule(doctor, "on_request")
    report_finish(actor=doctor.user, report=fresh(report), second_reader=True)
    other = MembershipFactory(clinic=doctor.clinic, **{role: True})
    for refused in (
        lambda: second_reading_agree(actor=other.user, report=report),
        lambda: second_reading_disagree(actor=other.user, report=report, remark="x"),
        lambda: report_withdraw(actor=other.user, report=report, reason="x"),
    ):
        with pytest.raises(ActionDeniedError):
            refused()


def test_a_withdrawn_report_says_so_and_the_study_waits_again(client, doctor, study, report):
    with pytest.raises(ConflictError) as early:
        report_withdraw(actor=doctor.user, report=report, reason="Wrong patient")
    assert early.value.code == "not_signed"
    version = report_sign(actor=doctor.user, report=report)
    with pytest.raises(RefusedInputError):
        report_withdraw(actor=doctor.user, report=report, reason=" ")
    report_withdraw(actor=doctor.user, report=report, reason="Wrong patient")
    with pytest.raises(ConflictError) as again:
        report_withdraw(actor=doctor.user, report=report, reason="Twice")
    assert again.value.code == "already_withdrawn"
    study.refresh_from_db()
    assert study.status == Study.Status.READY
    verification = report_verification(sha256=version.content_sha256)
    assert verification is not None
    assert verification.withdrawn
    page = client.get(reverse("diagnosis:report-verify", args=[version.content_sha256]))
    assert b"was withdrawn" in page.content
    report_amend(actor=doctor.user, report=report, reason="Right patient")
    second = report_sign(actor=doctor.user, report=report)
    assert not report_verification(sha256=second.content_sha256).withdrawn
    study.refresh_from_db()
    assert study.status == Study.Status.REPORTED


def test_the_draft_is_made_of_what_the_doctor_accepted(doctor, study):
    Finding.objects.update(fracture_type="transverse", severity="mild")
    decided(doctor, finding_change, bone="radius", laterality="left", severity="moderate")
    draft = report_create(actor=doctor.user, study=study).versions.get()
    assert draft.findings == (
        "Image 1: fracture of the left radius, moderate. "
        "Suggested by the AI, not confirmed: transverse."
    )
    assert draft.impression == "Fracture of the left radius, moderate."


def test_what_was_rejected_is_not_in_the_draft(doctor, study):
    decided(doctor, finding_reject, reason="growth_plate")
    draft = report_create(actor=doctor.user, study=study).versions.get()
    assert (draft.findings, draft.impression) == ("", "")


def test_key_images_are_printed_with_the_report(doctor, study):
    image = study.images.get()
    StudyKeyImageFactory(image=image, object_key=image.rendition_keys[0], caption="Step-off")
    report = report_create(actor=doctor.user, study=study)
    report_sign(actor=doctor.user, report=report)
    _version, pdf = report_pdf(actor=doctor.user, report=report)
    assert "Key image: Step-off" in text_of(pdf)


def test_a_persons_macro_goes_before_the_clinics(doctor, colleague):
    admin = MembershipFactory(clinic=doctor.clinic, clinic_admin=True)
    with clinic_scope(doctor.clinic_id):
        where = {"clinic_id": doctor.clinic_id}
        macro_save(actor=admin.user, name=".Norm", text="Clinic", for_clinic=True, **where)
        own = macro_save(actor=doctor.user, name="norm", text="Own", **where)
        assert macro_texts(user=doctor.user) == {"norm": "Own"}
        assert macro_texts(user=colleague.user) == {"norm": "Clinic"}
        macro_save(actor=doctor.user, name="norm", text="Own, changed", **where)
        assert macro_texts(user=doctor.user) == {"norm": "Own, changed"}
        with pytest.raises(ActionDeniedError):
            macro_save(actor=doctor.user, name="x", text="x", for_clinic=True, **where)
        for name, text in (
            ("", "x"),
            ("a b", "x"),
            ("x" * 21, "x"),
            ("ok", " "),
            ("ok", "x" * 2001),
        ):
            with pytest.raises(RefusedInputError):
                macro_save(actor=doctor.user, name=name, text=text, **where)
        macro_delete(actor=doctor.user, macro=own)
        assert TextMacro.objects.count() == 1


def test_changes_are_told_word_by_word():
    changes = text_changes("No fracture of the radius.", "Fracture of the left radius.")
    assert "".join(words for kind, words in changes if kind != "new") == (
        "No fracture of the radius."
    )
    assert "".join(words for kind, words in changes if kind != "gone") == (
        "Fracture of the left radius."
    )


@pytest.fixture
def signed_in(client, doctor):
    client.force_login(doctor.user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def test_two_texts_at_once_are_both_kept(signed_in, doctor, colleague, study, report):
    page = signed_in.get(reverse("diagnosis:study-detail", args=[study.pk]))
    basis = page.context["report_form"].initial["basis"]
    save = reverse("diagnosis:report-autosave", args=[report.pk])
    report_draft_update(actor=colleague.user, report=report, revision=1, findings="Theirs")
    mine = {"revision": 1, "basis": basis, "findings": "Mine", "tab": str(uuid4())}
    for text in ("Mine", "Mine, longer"):
        conflict = signed_in.post(save, {**mine, "findings": text}).content.decode()
    assert 'data-theirs="findings">Theirs<' in conflict
    assert 'data-revision="2"' in conflict
    kept = DraftCopy.objects.get()
    assert (kept.texts["findings"], kept.author) == ("Mine, longer", doctor.user)
    chosen = {**mine, "revision": 2, "findings": "Theirs\n\nMine", "overwrite": "1"}
    assert b"Saved" in signed_in.post(save, chosen).content
    texts = set(DraftCopy.objects.values_list("author", "texts__findings"))
    assert texts == {(doctor.user.pk, "Mine, longer"), (colleague.user.pk, "Theirs")}
    page = signed_in.get(reverse("diagnosis:study-detail", args=[study.pk])).content.decode()
    assert page.count("Kept text of") == 2
    drop = reverse("diagnosis:draft-copy-drop", args=[report.pk, kept.pk])
    signed_in.post(drop)
    assert DraftCopy.objects.count() == 1


def test_the_pages_lead_through_second_reading_withdrawal_and_history(
    client, signed_in, doctor, colleague, study, report
):
    rule(doctor, "on_request")
    page = signed_in.get(reverse("diagnosis:study-detail", args=[study.pk]))
    basis = page.context["report_form"].initial["basis"]
    body = {"revision": 1, "basis": basis, "findings": "Line.", "password": PASSWORD}
    signed_in.post(
        reverse("diagnosis:report-sign", args=[report.pk]), {**body, "second_reader": "on"}
    )
    waiting = signed_in.get(reverse("diagnosis:study-detail", args=[study.pk])).content.decode()
    assert "Awaiting second reader" in waiting
    assert "Take back and edit" in waiting
    client.force_login(
        colleague.user, backend="allauth.account.auth_backends.AuthenticationBackend"
    )
    agree = reverse("diagnosis:report-second", args=[report.pk, "agree"])
    client.post(agree, {"password": "wrong"})
    assert report.versions.get().status == "draft"
    client.post(agree, {"password": PASSWORD})
    assert report.versions.get().status == "signed"
    withdraw = reverse("diagnosis:report-withdraw", args=[report.pk])
    client.post(withdraw, {"reason": "Wrong side", "password": PASSWORD})
    marked = client.get(reverse("diagnosis:study-detail", args=[study.pk])).content.decode()
    assert "This report was withdrawn" in marked
    pdf = client.get(reverse("diagnosis:report-pdf", args=[report.pk]))
    assert "withdrawn-report" in pdf["Content-Disposition"]
    client.post(reverse("diagnosis:report-amend", args=[report.pk]), {"reason": "Side"})
    history = client.get(reverse("diagnosis:report-history", args=[report.pk])).content.decode()
    assert "Wrong side" in history
    assert "The same text." in history
    assert client.post(reverse("diagnosis:report-second", args=[report.pk, "x"])).status_code == 404


def test_another_clinic_finds_none_of_these(client, doctor, report):
    stranger = MembershipFactory(doctor=True)
    client.force_login(stranger.user, backend="allauth.account.auth_backends.AuthenticationBackend")
    assert client.get(reverse("diagnosis:report-history", args=[report.pk])).status_code == 404
    for name, args in (
        ("report-second", [report.pk, "agree"]),
        ("report-withdraw", [report.pk]),
        ("draft-copy-drop", [report.pk, uuid4()]),
        ("macro-delete", [uuid4()]),
    ):
        assert client.post(reverse(f"diagnosis:{name}", args=args)).status_code == 404


def test_a_technician_has_no_macros(client, doctor):
    technician = MembershipFactory(clinic=doctor.clinic, technician=True)
    client.force_login(
        technician.user, backend="allauth.account.auth_backends.AuthenticationBackend"
    )
    assert client.get(reverse("diagnosis:macros")).status_code == 403
    assert client.post(reverse("diagnosis:macros"), {"name": "a", "text": "b"}).status_code == 403


def test_macros_are_written_on_their_page(signed_in, doctor):
    url = reverse("diagnosis:macros")
    assert signed_in.post(url, {"name": "a b", "text": "x"}).status_code == 422
    signed_in.post(url, {"name": ".ok", "text": "Fine."})
    assert b".ok" in signed_in.get(url).content
    with clinic_scope(doctor.clinic_id):
        signed_in.post(reverse("diagnosis:macro-delete", args=[TextMacro.objects.get().pk]))
        assert not TextMacro.objects.exists()
        assert AuditEvent.objects.filter(action__startswith="macro.").count() == 2
