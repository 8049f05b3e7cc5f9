"""The door of the API: a member of a clinic, and a token that may write."""

from typing import TYPE_CHECKING

from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from accounts.audit import audit_denial, audit_no_clinic
from accounts.models import ApiToken, User
from accounts.reauthentication import SecondFactorMissingError, second_factor_words

if TYPE_CHECKING:
    from rest_framework.views import APIView  # loads its default permissions: this module


class ClinicMember(BasePermission):
    """Signed in, with an active membership; unsafe methods need a token of scope write.

    What a member may do is decided by ``accounts.policy`` inside the services. A view that
    reads whatever the method, such as a search by POST, says so by ``only_reads``.
    Refused changes are audited.
    """

    def has_permission(self, request: Request, view: "APIView") -> bool:
        """Return whether the request may reach the view at all."""
        if not isinstance(request.user, User) or not request.user.is_active:
            return False
        if getattr(request._request, "second_factor_missing", False):
            audit_no_clinic(request=request._request)
            raise SecondFactorMissingError("second_factor_required", second_factor_words())
        if getattr(request._request, "membership", None) is None:
            audit_no_clinic(request=request._request)
            return False
        token = request.auth
        reads_only = isinstance(token, ApiToken) and token.scope != ApiToken.Scope.WRITE
        safe = request.method in SAFE_METHODS or getattr(view, "only_reads", False)
        if reads_only and not safe:
            audit_denial(request=request._request, action="token.write")
            return False
        return True
