"""OHIF, unchanged, lists and opens a study of ours in Chromium.

`make ohif` fetches its build from the npm registry and sets OHIF_DIST to its `dist` folder.
"""

import mimetypes
import os
import threading
from pathlib import Path
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIServer, make_server

import pytest

from accounts.models import ApiToken, Role
from diagnosis.services.receiving import image_receive
from ml.data.synthetic import synthetic_radiograph, to_dicom
from tests.factories import ApiTokenFactory, MembershipFactory
from tests.interop.test_dicomweb import Quiet, ours

DIST = Path(os.environ.get("OHIF_DIST", "/nowhere"))
CONFIGURATION = """
window.config = {
  routerBasename: null, extensions: [], modes: [], customizationService: {}, showStudyList: true,
  maxNumberOfWebWorkers: 1, showWarningMessageForCrossOrigin: false, showCPUFallbackMessage: false,
  defaultDataSourceName: 'ours',
  dataSources: [{
    namespace: '@ohif/extension-default.dataSourcesModule.dicomweb', sourceName: 'ours',
    configuration: {
      friendlyName: 'Fracture Site', name: 'ours', qidoRoot: '/api/dicomweb',
      wadoRoot: '/api/dicomweb', wadoUriRoot: '/api/dicomweb', qidoSupportsIncludeField: true,
      imageRendering: 'wadors', thumbnailRendering: 'thumbnail', thumbnailRequestStrategy: 'fetch',
      supportsFuzzyMatching: false, supportsWildcard: true, omitQuotationForMultipartRequest: true,
    },
  }],
};
"""


class Threaded(ThreadingMixIn, WSGIServer):
    daemon_threads = False  # closing waits for them, and for their sessions of the database


def ohif_beside_the_api(secret: str):
    """Serve OHIF's files, and ours with the token that a reverse proxy would add."""

    def application(environ, start_response):
        path = environ["PATH_INFO"]
        if path.startswith("/api/"):
            environ["HTTP_AUTHORIZATION"] = f"Bearer {secret}"
            return ours(environ, start_response)
        file = DIST / path.lstrip("/")
        if not file.is_file():
            file = DIST / "index.html"
        content = CONFIGURATION.encode() if path == "/app-config.js" else file.read_bytes()
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        headers = [("Content-Type", kind), ("Cross-Origin-Opener-Policy", "same-origin"),
                   ("Cross-Origin-Embedder-Policy", "require-corp")]  # fmt: skip
        start_response("200 OK", headers)
        return [content]

    return application


@pytest.mark.timeout(400)
@pytest.mark.skipif(not (DIST / "index.html").exists(), reason="set OHIF_DIST to OHIF's build")
@pytest.mark.django_db(transaction=True)
def test_ohif_lists_and_opens_a_study(chromium, tmp_path):
    member = MembershipFactory(roles=[Role.TECHNICIAN])
    drawn = synthetic_radiograph(7, region="forearm", fractured=True, size=(512, 640), bits=12)
    attributes = {"PatientID": "DEMO-1", "PatientName": "Demo^Synthetic", "StudyDate": "20260102",
                  "StudyTime": "101112"}  # fmt: skip
    image_receive(
        actor=member.user,
        clinic_id=member.clinic_id,
        data=to_dicom(drawn.pixels, attributes=attributes),
    )
    secret = ApiTokenFactory(membership=member, scope=ApiToken.Scope.READ).secret
    server = make_server(
        "127.0.0.1", 0, ohif_beside_the_api(secret), server_class=Threaded, handler_class=Quiet
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    page = chromium.new_page(viewport={"width": 1280, "height": 800})
    failed = []
    page.on("response", lambda r: failed.append((r.url, r.status)) if r.status >= 400 else None)
    try:
        page.goto(f"http://127.0.0.1:{server.server_port}/", timeout=120_000)
        page.get_by_text("Demo, Synthetic").first.wait_for(timeout=120_000)
        [study] = page.evaluate("fetch('/api/dicomweb/studies').then(r => r.json())")
        uid = study["0020000D"]["Value"][0]
        page.goto(
            f"http://127.0.0.1:{server.server_port}/viewer?StudyInstanceUIDs={uid}",
            timeout=120_000,
        )
        with page.expect_response(lambda r: "/frames/1" in r.url, timeout=150_000) as frame:
            page.wait_for_selector("canvas", timeout=150_000)
        assert frame.value.ok
        page.wait_for_timeout(8000)  # OHIF says nowhere that it has drawn
        for words in ("Skip all", "Confirm and hide"):  # what it tells newcomers
            if (said := page.get_by_text(words)).count():
                said.first.click()
        page.wait_for_timeout(1000)
        page.screenshot(path=os.environ.get("OHIF_SCREENSHOT", str(tmp_path / "ohif.png")))
        colours = page.evaluate(
            "[...document.querySelectorAll('canvas')].map(c => c.width * c.height)"
        )
        assert max(colours) > 100_000
        assert [entry for entry in failed if "/api/" in entry[0]] == []
    finally:
        page.close()
        server.shutdown()
        server.server_close()
