"""Rules that every template keeps: strict CSP, translated texts, one frame, safe forms."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.contrib.auth.models import AnonymousUser
from django.template import engines, loader
from django.test import RequestFactory
from django.utils import translation

ROOT = Path(__file__).resolve().parents[2] / "templates"
PAGES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.html"))
RADIO = {"verdict": "suspicion", "probability": 0.41, "suspicion": 0.28, "definite": 0.71}


def source(name: str) -> str:
    text = (ROOT / name).read_text(encoding="utf-8")
    return re.sub(r"{% comment %}.*?{% endcomment %}", "", text, flags=re.DOTALL)


def render(template: str, **context: object) -> str:
    return engines["django"].from_string(template).render(context)


def include(name: str, **context: object) -> str:
    return loader.get_template(name).render(context)


class Tags(HTMLParser):
    """Collects start tags with their attributes, and the words between them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.mark.parametrize("name", PAGES)
def test_every_template_compiles(name: str) -> None:
    assert loader.get_template(name)


@pytest.mark.parametrize("name", [page for page in PAGES if "/email/" not in page])
def test_no_template_needs_inline_style_or_script(name: str) -> None:
    text = source(name)

    assert not re.search(r"<style\b", text), "styles live in static/css"
    assert not re.search(r"\sstyle\s*=", text), "the policy blocks style attributes"
    assert not re.search(r"\son[a-z]+\s*=\s*[\"']", text), "the policy blocks event attributes"
    assert not re.search(r"\shx-on|hx-vals=[\"']js:", text), "htmx may not eval"
    for script in re.findall(r"<script\b[^>]*>", text):
        assert "src=" in script or "application/json" in script, script


@pytest.mark.parametrize("name", PAGES)
def test_no_template_loads_from_another_host(name: str) -> None:
    assert not re.search(r"(?:src|href|action)=[\"'](?:https?:)?//", source(name))


@pytest.mark.parametrize("name", PAGES)
def test_every_post_form_carries_the_csrf_token(name: str) -> None:
    for form in re.findall(r"<form\b[^>]*method=\"post\".*?</form>", source(name), flags=re.DOTALL):
        assert "{% csrf_token %}" in form


@pytest.mark.parametrize("name", PAGES)
def test_no_template_trusts_data_as_markup(name: str) -> None:
    text = source(name).replace("field.help_text|safe", "")  # help texts come from code

    assert "|safe" not in text
    assert "autoescape off" not in text


def test_the_frame_keeps_patients_out_of_browser_storage_and_needs_no_eval() -> None:
    html = render('{% extends "base.html" %}{% block page %}<p>body</p>{% endblock %}')
    metas = {tag.get("name"): tag.get("content") or "" for tag in Tags(html).all("meta")}

    assert '"historyCacheSize": 0' in metas["htmx-config"]
    assert '"allowEval": false' in metas["htmx-config"]
    assert '"includeIndicatorStyles": false' in metas["htmx-config"]
    assert "<p>body</p>" in html
    assert Tags(html).all("html")[0] == {
        "lang": "en", "dir": "ltr", "data-bs-theme": "light", "data-theme": "light",
    }  # fmt: skip


def test_right_to_left_languages_get_the_mirrored_sheet() -> None:
    with translation.override("ar"):
        html = render('{% extends "base.html" %}')
    sheets = [tag["href"] for tag in Tags(html).all("link") if tag.get("rel") == "stylesheet"]

    assert Tags(html).all("html")[0]["dir"] == "rtl"
    assert any(sheet and "bootstrap.rtl.min" in sheet for sheet in sheets)


@pytest.mark.parametrize(
    ("verdict", "word"),
    [
        ("definite", "Fracture"), ("suspicion", "Suspicion"), ("negative", "No fracture seen"),
        ("cannot_assess", "Cannot assess"), ("queued", "Waiting"), ("running", "Analysing"),
        ("failed", "Failed"), ("empty", "No images"), ("", "No result"), ("odd", "No result"),
    ],
)  # fmt: skip
def test_a_verdict_is_a_word_and_a_shape(verdict: str, word: str) -> None:
    html = Tags(include("diagnosis/_verdict.html", verdict=verdict))

    assert "".join(html.words).strip() == word
    assert len([tag for tag, _ in html.tags if tag in {"rect", "circle", "path"}]) >= 1


def test_the_shapes_of_the_verdicts_differ() -> None:
    kinds = ("definite", "suspicion", "negative", "cannot_assess", "failed", "running", "")
    drawn = {
        re.sub(r"<span.*?>|>[^<]+<", "", include("diagnosis/_verdict.html", verdict=kind))
        for kind in kinds
    }

    assert len(drawn) == len(kinds)


@pytest.mark.parametrize("language", ["en", "de", "ar", "bn"])
def test_the_probability_bar_is_valid_svg_in_every_language(language: str) -> None:
    with translation.override(language):
        html = Tags(include("diagnosis/_probability.html", **RADIO))
    values = [tag for tag in html.all("rect") if tag.get("class") == "value"]
    ticks = [tag["x1"] for tag in html.all("line")]

    assert values[0]["width"] == "0.41"
    assert ticks == ["0.28", "0.71"]


@pytest.mark.parametrize("changed", [{"probability": None}, {"verdict": "cannot_assess"}])
def test_without_an_assessment_there_is_no_bar(changed: dict[str, object]) -> None:
    assert include("diagnosis/_probability.html", **{**RADIO, **changed}).strip() == ""


def test_a_probability_of_zero_is_shown() -> None:
    assert "0.00" in include("diagnosis/_probability.html", **{**RADIO, "probability": 0.0})


def test_hostile_marks_cannot_leave_their_data_block() -> None:
    marks = {"width": 1, "height": 1, "boxes": [{"id": "</script><img src=x onerror=alert(1)>"}]}
    html = include("diagnosis/_viewer.html", viewer_id="v", image_url="/x", marks=marks)

    assert "<img src=x" not in html
    assert "\\u003C/script\\u003E" in html


@pytest.mark.parametrize(
    "name",
    [
        "account/login.html", "account/signup.html", "account/signup_closed.html",
        "account/password_reset.html", "account/password_reset_done.html",
        "account/password_reset_from_key.html", "account/verification_sent.html",
        "account/email_confirm.html", "account/reauthenticate.html",
        "account/account_inactive.html",
        "mfa/authenticate.html", "mfa/reauthenticate.html",
    ],
)  # fmt: skip
def test_the_pages_of_sign_in_look_like_ours(name: str) -> None:
    request = RequestFactory().get("/accounts/")
    request.user = AnonymousUser()
    html = include(name, request=request, user=request.user, messages=[], form=None)

    assert 'class="entrance"' in html
    assert len(Tags(html).all("h1")) == 1
    assert not re.search(r"\sstyle=", html)


@pytest.mark.parametrize("name", ["error.html", "500.html"])
def test_error_pages_need_nothing_but_their_sentence(name: str) -> None:
    html = include(name, detail="<b>Broken</b>", code="not_found")

    assert "&lt;b&gt;Broken&lt;/b&gt;" in html
    assert Tags(html).all("a")[0]["href"] == "/"
