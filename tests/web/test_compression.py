"""Pages are sent compressed, and nothing else is."""

import gzip

import pytest
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.test import RequestFactory
from django.urls import reverse

from fracture_site.common.compression import PageCompressionMiddleware
from tests.factories import MembershipFactory

TAKES_GZIP = {"HTTP_ACCEPT_ENCODING": "gzip, br"}


@pytest.mark.django_db
def test_a_page_is_compressed_with_a_length_that_tells_nothing(client):
    client.force_login(MembershipFactory(doctor=True).user)
    answers = [client.get(reverse("diagnosis:worklist"), **TAKES_GZIP) for _ in range(6)]

    assert {answer["Content-Encoding"] for answer in answers} == {"gzip"}
    page = gzip.decompress(answers[0].content)
    assert b"Worklist" in page
    assert len(answers[0].content) < len(page) / 2
    assert len({len(answer.content) for answer in answers}) > 1
    plain = client.get(reverse("diagnosis:worklist"))
    assert not plain.has_header("Content-Encoding")


@pytest.mark.parametrize(
    "make",
    [
        lambda data: StreamingHttpResponse(iter([data]), content_type="text/html"),
        lambda data: HttpResponse(data, content_type="application/dicom"),
        lambda data: JsonResponse({"detail": "x" * 2000}, headers={"ETag": '"7"'}),
    ],
    ids=["stream", "image", "api"],
)
def test_files_and_the_api_stay_as_they_are(make):
    response = make(b"<p>" + b"x" * 2000)
    before = dict(response.items())

    answer = PageCompressionMiddleware(lambda _request: response)(
        RequestFactory().get("/", **TAKES_GZIP)
    )

    assert dict(answer.items()) == before
