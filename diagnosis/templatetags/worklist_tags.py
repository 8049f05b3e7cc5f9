"""Durations as a glance takes them in."""

from django import template
from django.utils.translation import gettext as _

register = template.Library()


@register.filter
def duration_words(minutes: int) -> str:
    """Return minutes as ``12 min``, ``3 h``, ``3 h 05`` or ``2 d 4 h``."""
    hours, rest = divmod(int(minutes), 60)
    if hours == 0:
        return _("%(n)s min") % {"n": rest}
    if hours < 24:
        words = _("%(h)s h %(m)02d") if rest else _("%(h)s h")
        return words % {"h": hours, "m": rest}
    days, hours = divmod(hours, 24)
    words = _("%(d)s d %(h)s h") if hours else _("%(d)s d")
    return words % {"d": days, "h": hours}
