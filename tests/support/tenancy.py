"""The table of who may open what, read from ``tests/security/tenancy_table.txt``."""

from pathlib import Path

from accounts.models import Role
from accounts.policy import ALLOWED, Action
from tests.support.routes import Route

FILE = Path(__file__).resolve().parents[1] / "security" / "tenancy_table.txt"
PROGRAMS = ("/api/", "/fhir/")
ROLES = {
    "doctor": Role.DOCTOR, "colleague": Role.DOCTOR, "admin": Role.CLINIC_ADMIN,
    "doctor B": Role.DOCTOR, "admin B": Role.CLINIC_ADMIN, "token": Role.DOCTOR,
}  # fmt: skip
SIGNED_IN = {*ROLES, "platform", "no factor"} - {"token"}


def table() -> dict[str, dict[str, str]]:
    """Return route to method to who; a route has one line."""
    found: dict[str, dict[str, str]] = {}
    for line in FILE.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            name, *entries = line.split()
            if name in found:
                raise ValueError(f"{name} has two lines")
            found[name] = dict(entry.split("=") for entry in entries)
    return found


TABLE = table()


def may(name: str, method: str, route: Route) -> bool:
    """Return whether a principal may get in."""
    wanted = TABLE[route.name].get(method, "nobody").removesuffix("?")
    return any(_may(who, name, method, route) for who in wanted.split("|"))


def is_doubtful(method: str, route: Route) -> bool:
    """Return whether what is there may let nobody in."""
    return TABLE[route.name].get(method, "nobody").endswith("?")


def _may(who: str, name: str, method: str, route: Route) -> bool:
    if who == "public":
        return True
    if who == "signed":
        return name in SIGNED_IN
    if who == "staff":
        return name == "platform"
    if who == "nobody" or name not in ROLES:
        return False
    if name == "token" and not _opens_to_reading_token(method, route):
        return False
    return who == "member" or Action(who) in ALLOWED[ROLES[name]]


def _opens_to_reading_token(method: str, route: Route) -> bool:
    """Tokens open no pages, and one that reads changes nothing; a search by POST reads."""
    reads = method == "get" or route.name.endswith("-search-by-post")
    return route.pattern.startswith(PROGRAMS) and reads
