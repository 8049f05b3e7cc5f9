"""Give analysed studies of the demo a history of reading, so that every state can be tried."""

from collections.abc import Callable
from itertools import zip_longest
from typing import Any

from accounts.models import Clinic, Membership, Role, User
from accounts.tenancy import clinic_scope
from diagnosis.models import FindingReview, Report, Study
from diagnosis.selectors.findings import reviewed_findings_for
from diagnosis.services.discrepancies import preliminary_read_give
from diagnosis.services.drafting import macro_save
from diagnosis.services.finding_reviews import finding_accept, finding_add, finding_reject
from diagnosis.services.reports import report_create, report_draft_update, report_sign
from diagnosis.services.second_readings import report_finish
from fracture_site.common.commands import ProgressCommand


class Command(ProgressCommand):
    """Safe to run again; clinics where somebody has read already are left alone."""

    help = "Add decisions, a second reading and a discrepancy to analysed demo studies"

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Fill each demo clinic whose images are analysed."""
        for clinic in Clinic.objects.filter(name__endswith="(demo)"):
            with clinic_scope(clinic.pk):
                self._clinic(clinic)

    def _clinic(self, clinic: Clinic) -> None:
        doctor = Membership.objects.filter(clinic=clinic, roles__contains=[Role.DOCTOR]).first()
        started = FindingReview.objects.exists() or Report.objects.exists()
        if doctor is None or started:
            return
        # The most suspicious ones: there is something to accept and to reject.
        studies = Study.objects.filter(status=Study.Status.READY).order_by("-probability", "pk")
        steps: list[Callable[[User, Study], None]] = [_decided, _awaiting, _contradicted]
        done = 0
        for step, study in zip_longest(steps, studies[: len(steps)]):
            if step is None or study is None:
                break
            step(doctor.user, study)
            done += 1
        macro_save(
            actor=doctor.user,
            clinic_id=clinic.pk,
            name="control",
            text="Follow-up radiograph in one week if the pain persists.",
        )
        self.stdout.write(f"{clinic.name}: {done} studies read")


def _decided(actor: User, study: Study) -> None:
    """Accept the strongest finding, reject the others, add one of the doctor's own."""
    found = reviewed_findings_for(study=study, user=actor)
    for number, each in enumerate(found):
        if number == 0:
            finding_accept(actor=actor, found=each, revision=0)
        else:
            finding_reject(actor=actor, found=each, revision=0, reason="artefact")
    image = study.images.first()
    if image is not None:
        box = (image.width * 0.1, image.height * 0.1, image.width * 0.15, image.height * 0.1)
        finding_add(actor=actor, image=image, box=box)


def _awaiting(actor: User, study: Study) -> None:
    """Sign, and leave the second signature to a colleague."""
    Clinic.objects.filter(pk=study.clinic_id, second_reader="never").update(
        second_reader="on_request"
    )
    report = report_create(actor=actor, study=study)
    draft = report.versions.get()
    report_draft_update(
        actor=actor, report=report, revision=draft.revision, impression="Demo: please look too."
    )
    report = Report.objects.select_related("clinic", "study").get(pk=report.pk)
    report_finish(actor=actor, report=report, second_reader=True)


def _contradicted(actor: User, study: Study) -> None:
    """Answer preliminarily, then sign the opposite."""
    preliminary_read_give(actor=actor, study=study, answer="no", note="Demo: first look")
    image = study.images.first()
    if image is not None:
        box = (image.width * 0.4, image.height * 0.4, image.width * 0.2, image.height * 0.2)
        finding_add(actor=actor, image=image, box=box)
    report = report_create(actor=actor, study=study)
    report_sign(actor=actor, report=report)
