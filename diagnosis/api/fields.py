"""Fields that several serializers share."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.models import User
from diagnosis.models import Patient, Priority

PRIORITY_NAMES = {priority.value: priority.name.lower() for priority in Priority}


class PriorityField(serializers.ChoiceField):
    """``stat``, ``urgent`` or ``routine``; a number in the database."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs["choices"] = list(PRIORITY_NAMES.values())
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> int:  # type: ignore[override]
        """Return the number."""
        return int(Priority[super().to_internal_value(data).upper()])

    def to_representation(self, value: Any) -> str:
        """Return the name."""
        return PRIORITY_NAMES[value]


class SexField(serializers.ChoiceField):
    """``female``, ``male``, ``other`` or ``unknown``; DICOM's F, M and O are understood too."""

    LETTERS: ClassVar[dict[str, str]] = {"F": "female", "M": "male", "O": "other"}

    def __init__(self, **kwargs: Any) -> None:
        kwargs["choices"] = Patient.Sex.choices
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> str:
        """Return the word."""
        letter = self.LETTERS.get(data.upper()) if isinstance(data, str) else None
        return str(super().to_internal_value(letter or data))


class PersonSerializer(serializers.Serializer[User]):
    """Who did something."""

    id = serializers.UUIDField(read_only=True)
    name = serializers.CharField(source="display_name", read_only=True)


@extend_schema_field(
    {
        "type": "array",
        "items": {"type": "number"},
        "minItems": 4,
        "maxItems": 4,
        "description": "x, y, width, height in pixels of the original, origin top left.",
    }
)
class BoxField(serializers.Field[Any, Any, list[float], Any]):
    """The four numbers of a finding's box."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(source="*", read_only=True, **kwargs)

    def to_representation(self, value: Any) -> list[float]:
        """Return x, y, width, height."""
        return [round(side, 1) for side in (value.x, value.y, value.width, value.height)]


def may_be_blank(*names: str) -> dict[str, dict[str, bool]]:
    """Return ``extra_kwargs`` that say of read choices that they may be empty.

    Without it the description lists the choices alone, and an answer without one breaks it.
    """
    return {name: {"allow_blank": True} for name in names}
