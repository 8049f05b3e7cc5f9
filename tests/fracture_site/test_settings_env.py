"""Reading the environment: a typo stops the start, by name; it never becomes a default."""

import json

import pytest
from django.core.exceptions import ImproperlyConfigured

from fracture_site.settings.env import (
    env_bool,
    env_int,
    env_list,
    env_oidc_providers,
    env_secret,
    env_str,
)

PROVIDER = {
    "provider_id": "hospital",
    "name": "Hospital",
    "client_id": "id",
    "secret": "s",
    "settings": {"server_url": "https://id.hospital.example"},
}


@pytest.fixture
def env(monkeypatch):
    monkeypatch.delenv("X", raising=False)
    monkeypatch.delenv("X_FILE", raising=False)
    return lambda value, name="X": monkeypatch.setenv(name, value)


def refused(*words: str):
    return pytest.raises(ImproperlyConfigured, match=".*".join(("X", *words)))


def test_a_variable_without_default_is_required(env):
    with refused("not set"):
        env_str("X")
    assert env_str("X", "d") == "d"
    env("")
    assert env_str("X", "d") == ""


@pytest.mark.parametrize(("value", "meaning"), [("true", True), ("False", False), ("TRUE", True)])
def test_flags(env, value, meaning):
    env(value)
    assert env_bool("X", default=not meaning) is meaning


@pytest.mark.parametrize("value", ["", "1", "yes", "ture", " true"])
def test_a_misspelt_flag_stops_the_start(env, value):
    env(value)
    with refused("true"):
        env_bool("X", default=False)


def test_numbers(env):
    assert env_int("X", default=3) == 3
    env("12")
    assert env_int("X", default=3) == 12


@pytest.mark.parametrize("value", ["", "1.5", "ten", "1e3"])
def test_a_misspelt_number_stops_the_start(env, value):
    env(value)
    with refused("whole number"):
        env_int("X", default=3)


def test_a_number_below_its_minimum_stops_the_start(env):
    env("-1")
    with refused("at least 0"):
        env_int("X", default=3)


def test_lists_drop_blanks(env):
    assert env_list("X") == []
    assert env_list("X", default="a") == ["a"]
    env(" a, ,b ,")
    assert env_list("X") == ["a", "b"]


def test_a_secret_comes_from_its_file_first(env, tmp_path):
    env("plain")
    assert env_secret("X") == "plain"
    (tmp_path / "secret").write_text("from the file\n")
    env(str(tmp_path / "secret"), "X_FILE")
    assert env_secret("X") == "from the file"


def test_a_missing_secret_file_never_falls_back_to_the_variable(env, tmp_path):
    env("plain")
    env(str(tmp_path / "nothing"), "X_FILE")
    with refused("_FILE", "not a readable file"):
        env_secret("X")


class TestProviders:
    @pytest.mark.usefixtures("env")
    def test_none_by_default(self):
        assert env_oidc_providers("X") == []

    def test_a_whole_entry_is_taken(self, env):
        env(json.dumps([PROVIDER]))
        assert env_oidc_providers("X") == [PROVIDER]

    @pytest.mark.parametrize("raw", ["{", "{}", '"x"', "[1]", "null"])
    def test_something_else_than_a_list_of_objects_stops_the_start(self, env, raw):
        env(raw)
        with refused("JSON list"):
            env_oidc_providers("X")

    @pytest.mark.parametrize("missing", list(PROVIDER))
    def test_a_missing_part_is_named(self, env, missing):
        env(json.dumps([PROVIDER, {k: v for k, v in PROVIDER.items() if k != missing}]))
        with refused("entry 2", missing):
            env_oidc_providers("X")

    @pytest.mark.parametrize("url", ["", "http://id.hospital.example", "ftp://x"])
    def test_the_provider_is_spoken_to_over_tls(self, env, url):
        env(json.dumps([PROVIDER | {"settings": {"server_url": url}}]))
        with refused("https"):
            env_oidc_providers("X")

    def test_recognising_people_by_address_cannot_be_switched_on(self, env):
        settings = PROVIDER["settings"] | {"email_authentication": True}
        env(json.dumps([PROVIDER | {"settings": settings}]))
        with refused("address"):
            env_oidc_providers("X")
