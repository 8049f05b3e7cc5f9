"""Real peers."""

import pytest

from tests.support.orthanc import HOW_TO_GET_IT, Orthanc, is_installed


@pytest.fixture(scope="session")
def _orthanc(tmp_path_factory):
    if not is_installed():
        pytest.skip(HOW_TO_GET_IT)
    archive = Orthanc(tmp_path_factory.mktemp("orthanc")).start()
    yield archive
    archive.stop()


@pytest.fixture
def orthanc(_orthanc):
    """An empty archive that answers."""
    _orthanc.empty()
    return _orthanc
