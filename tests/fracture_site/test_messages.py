"""The catalogues of translated text: whole, true to their placeholders, compiled."""

import polib
import pytest

from fracture_site import messages

LANGUAGES = ["ar", "es", "fr"]


def test_every_offered_language_has_a_catalogue(settings):
    assert messages.languages() == LANGUAGES
    assert {code for code, _name in settings.LANGUAGES} == {"en", *LANGUAGES}


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_is_left_untranslated_fuzzy_or_without_its_placeholders(language):
    found = list(messages.faults(messages.catalogue(language)))

    assert not found, f"{found[:20]}: edit the .po file, then run `{messages.COMMAND}`"


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_compiled_catalogue_says_what_the_text_says(language):
    path = messages.LOCALE / language / "LC_MESSAGES" / "django.mo"
    compiled = {(e.msgctxt, e.msgid): (e.msgstr, e.msgstr_plural) for e in polib.mofile(str(path))}
    written = {
        (e.msgctxt, e.msgid): (e.msgstr, e.msgstr_plural) for e in messages.catalogue(language)
    }

    assert compiled == written, f"run `{messages.COMMAND}`"


@pytest.mark.parametrize(
    ("text", "translated", "wrong"),
    [
        ("%(n)s of %(all)s", "%(all)s: %(n)s", False),
        ("%(n)s of %(all)s", "%(n)s", True),
        ("%(n)s", "%(m)s", True),
        ("{done} files", "{Done} archivos", True),
        ("95 %% sure", "seguro al 95 %", True),
        ("Accept (a)", "Aceptar (c)", True),
        ("Accept (a)", "Aceptar (a)", False),
        ("line\n", "línea", True),
        ("word", "", True),
    ],
)
def test_faults_are_found(text, translated, wrong):
    catalogue = polib.POFile()
    catalogue.append(polib.POEntry(msgid=text, msgstr=translated))

    assert bool(list(messages.faults(catalogue))) == wrong


def test_a_word_may_stand_for_the_number_one_but_not_for_many():
    def entry(one: str, many: str) -> polib.POFile:
        catalogue = polib.POFile()
        catalogue.append(
            polib.POEntry(
                msgid="%(n)s image", msgid_plural="%(n)s images", msgstr_plural={0: one, 1: many}
            )
        )
        return catalogue

    assert not list(messages.faults(entry("one image", "%(n)s images")))
    assert list(messages.faults(entry("%(n)s image", "images")))


def test_the_catalogues_know_every_text_of_the_sources(tmp_path):
    extracted = messages.extract(tmp_path)
    unknown = {language: messages.stale(language, extracted) for language in LANGUAGES}

    assert not any(unknown.values()), f"{unknown}: run `{messages.COMMAND}` and translate these"
