"""The watch over names of patients sees them wherever they show up."""

import logging

import pytest
from celery import current_app
from django.core.mail import send_mail
from django.http import HttpResponse, HttpResponseRedirect, JsonResponse
from django.test import Client
from django.urls import path

from diagnosis.storage import object_put
from tests.factories import PatientFactory

NAME, NUMBER = "Example123", "MRN-123"
urlpatterns = [
    path("redirect", lambda _r: HttpResponseRedirect(f"/patients/?q={NAME}")),
    path("link", lambda _r: HttpResponse(f'<a class="x" href="/patients/{NUMBER}/">A</a>')),
    path("error", lambda _r: JsonResponse({"detail": f"{NAME} is not here"}, status=404)),
    path("metrics", lambda _r: HttpResponse(f'x{{p="{NUMBER}"}} 1', content_type="text/plain")),
    path("page", lambda _r: HttpResponse(f"<p>{NAME} {NUMBER}</p>")),
]


def log() -> None:
    logging.getLogger("diagnosis").warning("uploaded for %s", NAME)


def message() -> None:
    current_app.send_task("x", args=[NUMBER], ignore_result=True)


def mail() -> None:
    send_mail("Result", f"of {NAME}", None, ["x@y.example"])


@pytest.mark.parametrize("leak", [log, message, mail])
def test_a_mark_is_found_wherever_it_shows_up(leak, no_patient_where_none_belongs):
    leak()
    assert no_patient_where_none_belongs
    no_patient_where_none_belongs.clear()


@pytest.mark.urls(__name__)
@pytest.mark.parametrize("address", ["redirect", "link", "error", "metrics"])
def test_a_mark_is_found_in_what_the_site_answers(address, no_patient_where_none_belongs, db):
    Client().get(f"/{address}")
    assert no_patient_where_none_belongs
    no_patient_where_none_belongs.clear()


@pytest.mark.urls(__name__)
def test_a_page_may_tell_of_patients(no_patient_where_none_belongs, db):
    Client().get("/page")
    assert not no_patient_where_none_belongs


@pytest.mark.django_db
def test_factories_mark_their_patients_and_keys_are_never_made_of_them():
    from tests.support.patient_marks import MARK

    patient = PatientFactory()
    assert MARK.search(patient.family_name)
    assert MARK.search(patient.record_number)
    assert not MARK.search(object_put(data=b"x", kind="served", content_type="image/png"))
