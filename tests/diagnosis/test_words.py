"""Every code that the model can give has a sentence on the screen and a line in the API."""

import pytest

from diagnosis.api.serializers.results import REASONS_HELP, WARNINGS_HELP
from diagnosis.web.words import REASONS as REASON_WORDS
from diagnosis.web.words import WARNINGS as WARNING_WORDS
from diagnosis.web.words import reason_texts, warning_texts
from ml.decoding_common import WARNING_CODES
from ml.gate import PHOTO_WARNING
from ml.quality import REASONS

ALL_WARNINGS = sorted({*WARNING_CODES, PHOTO_WARNING, "hardware", "cast"})


@pytest.mark.parametrize("code", REASONS)
def test_every_reason_has_a_sentence_and_is_documented(code):
    assert code in REASON_WORDS
    assert reason_texts([code]) != [code]
    assert f"`{code}`" in REASONS_HELP


@pytest.mark.parametrize("code", ALL_WARNINGS)
def test_every_warning_has_a_sentence_and_is_documented(code):
    assert code in WARNING_WORDS
    assert warning_texts([code]) != [code]
    assert f"`{code}`" in WARNINGS_HELP


def test_a_photo_of_a_film_is_shown_with_lower_trust():
    assert "Lower trust" in warning_texts([PHOTO_WARNING])[0]
