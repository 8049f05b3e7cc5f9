"""Who reads, and what a SMART token leaves of their rights: types, and patients."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db.models import QuerySet
from rest_framework.exceptions import PermissionDenied

from accounts.models import ApiToken, User
from accounts.smart_scopes import Reach, scope_reach

if TYPE_CHECKING:
    from diagnosis.api.fhir.resources import Served, Source


@dataclass(frozen=True, slots=True)
class Reader:
    """A member, perhaps through an app; without ``scopes`` the member's roles alone decide."""

    user: User
    scopes: str = ""
    patient_id: UUID | None = None

    @classmethod
    def of(cls, user: User, token: Any) -> "Reader":
        """Return who sent a request with this token, or with none."""
        if not isinstance(token, ApiToken):
            return cls(user)
        return cls(user, token.smart_scopes, token.patient_id)

    def reach(self, kind: str, verbs: str) -> Reach:
        """Return how far the scopes go for one of the verbs."""
        return max(scope_reach(self.scopes, kind, verb) for verb in verbs)

    def require(self, kind: str, verbs: str) -> None:
        """Refuse a type that the app was not allowed.

        Raises:
            PermissionDenied: with the code ``scope``.
        """
        if self.reach(kind, verbs) is Reach.NOTHING:
            raise PermissionDenied(f"The app was not allowed to read {kind}.", code="scope")

    def rows(self, served: "Served", source: "Source", verbs: str) -> QuerySet[Any]:
        """Return the rows of a source that are to be seen: the clinic's, or one patient's."""
        rows = source.rows(self.user)
        reach = self.reach(served.kind, verbs)
        if reach is Reach.CLINIC:
            return rows
        if reach is Reach.PATIENT and self.patient_id is not None:
            return rows.filter(source.of(self.patient_id))
        return rows.none()
