"""Production, and the demo; the TLS switches are explicit because the demo runs without, too."""

from fracture_site.settings.base import *
from fracture_site.settings.env import env_bool, env_int, env_str

_TLS = env_bool("TLS_ENABLED", default=True)
SESSION_COOKIE_SECURE = _TLS
CSRF_COOKIE_SECURE = _TLS
LANGUAGE_COOKIE_SECURE = _TLS
# A browser ties a __Host- cookie to this very host over TLS.
# Cookies know no ports: two sites on one host need names of their own.
_SUFFIX = env_str("COOKIE_SUFFIX", "")
SESSION_COOKIE_NAME = f"__Host-session{_SUFFIX}" if _TLS else f"session{_SUFFIX}"
CSRF_COOKIE_NAME = f"__Host-csrf{_SUFFIX}" if _TLS else f"csrf{_SUFFIX}"
SECURE_SSL_REDIRECT = env_bool("SSL_REDIRECT", default=_TLS)
SECURE_HSTS_SECONDS = env_int("HSTS_SECONDS", default=31536000 if _TLS else 0)
SECURE_HSTS_INCLUDE_SUBDOMAINS = _TLS
SECURE_HSTS_PRELOAD = _TLS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]  # probes speak http
if env_bool("BEHIND_TLS_PROXY", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
