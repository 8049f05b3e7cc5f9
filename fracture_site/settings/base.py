"""Django core settings shared by every environment; values that differ are in its siblings."""

from datetime import timedelta
from pathlib import Path

import dj_database_url
import django_stubs_ext

from fracture_site.common.database import line_that_gives_up
from fracture_site.settings.celery import *
from fracture_site.settings.env import env_bool, env_int, env_list, env_secret, env_str
from fracture_site.settings.interop import *
from fracture_site.settings.logging import *
from fracture_site.settings.ml import *
from fracture_site.settings.security import *
from fracture_site.settings.storage import *

# Lets Django's generic classes be subscripted at run time, as the type checker wants them.
django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parents[2]
DEBUG = False
SECRET_KEY = env_secret("SECRET_KEY")
SECRET_KEY_FALLBACKS = env_list("SECRET_KEY_FALLBACKS")
ALLOWED_HOSTS = env_list("ALLOWED_HOSTS", default="localhost,127.0.0.1,[::1]")
BASE_URL = env_str("BASE_URL", "http://127.0.0.1:8000")
METRICS_TOKEN = env_secret("METRICS_TOKEN", "")  # empty: no /metrics
CSRF_TRUSTED_ORIGINS = [BASE_URL, *env_list("CSRF_TRUSTED_ORIGINS")]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "allauth.usersessions",
    "corsheaders",
    "django_filters",
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "storages",
    "accounts",
    "diagnosis",
]

MIDDLEWARE = [
    "fracture_site.common.request_ids.RequestIdMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",  # also on what others answer early
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "fracture_site.common.compression.PageCompressionMiddleware",
    "csp.middleware.CSPMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "accounts.middleware.ApiTokenMiddleware",
    "accounts.middleware.SessionLifetimeMiddleware",
    "accounts.languages.LanguageMiddleware",
    "accounts.middleware.UploadMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "allauth.usersessions.middleware.UserSessionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    # Innermost: everything below it runs in one transaction that is scoped to one clinic.
    "accounts.middleware.ClinicScopeMiddleware",
]

ROOT_URLCONF = "fracture_site.urls"
WSGI_APPLICATION = "fracture_site.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "accounts.context_processors.clinic",
            ],
        },
    }
]

# "default" is the application role, which row-level security binds. "owner" owns
# the tables and is used by ``manage.py db_migrate`` alone; web processes and
# workers run without DATABASE_OWNER_URL in their environment.
_DATABASE_URL = env_secret("DATABASE_URL", "postgresql://fracture_app@localhost/fracture_site")
_STATEMENT_TIMEOUT_MS = env_int("DB_STATEMENT_TIMEOUT_MS", default=15000)
DATABASES = {
    "default": dj_database_url.parse(_DATABASE_URL, conn_max_age=60, conn_health_checks=True),
    "owner": dj_database_url.parse(env_secret("DATABASE_OWNER_URL", _DATABASE_URL)),
}
for _database in DATABASES.values():
    # A server that is gone without a word is noticed: at connecting, and on a connection at rest.
    _database.setdefault("OPTIONS", {}).update(
        connect_timeout=5, keepalives_idle=10, keepalives_interval=5, keepalives_count=3,
        tcp_user_timeout=20_000,
    )  # fmt: skip
# Behind pgbouncer in transaction mode a cursor does not outlive its transaction, and a session has
# no options of its own: db_migrate gives the limits to the role (docs/runbooks/pgbouncer.md).
DB_PGBOUNCER = env_bool("DB_PGBOUNCER", default=False)
DATABASE_LIMITS_MS = {
    "statement_timeout": _STATEMENT_TIMEOUT_MS,
    "idle_in_transaction_session_timeout": 120_000,
}
DATABASES["default"]["DISABLE_SERVER_SIDE_CURSORS"] = DB_PGBOUNCER
if not DB_PGBOUNCER:
    DATABASES["default"]["OPTIONS"]["options"] = " ".join(
        f"-c {name}={value}" for name, value in DATABASE_LIMITS_MS.items()
    )
# A server that keeps its connections open and says nothing: the client gives up by itself.
DATABASES["default"]["OPTIONS"]["connection_factory"] = line_that_gives_up(
    after_s=_STATEMENT_TIMEOUT_MS / 1000 + 5 if _STATEMENT_TIMEOUT_MS else None
)
DATABASES["owner"]["TEST"] = {"MIRROR": "default"}
DATABASE_ROUTERS: list[str] = []
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Without activity for so long, a doctor no longer counts as reading a study.
STUDY_CLAIM_TIMEOUT = timedelta(minutes=env_int("STUDY_CLAIM_TIMEOUT_MIN", default=15, minimum=1))

CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        # No request may wait for long for a cache that hangs.
        "OPTIONS": {"socket_connect_timeout": 0.5, "socket_timeout": 0.5},
    }
}

LANGUAGE_CODE = "en"
# Each by its own name: who looks for a language may not read the one on the screen.
LANGUAGES = [("en", "English"), ("es", "Español"), ("fr", "Français"), ("ar", "العربية")]
LANGUAGE_COOKIE_AGE = 365 * 24 * 3600
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"
FORMAT_MODULE_PATH = ["fracture_site.formats"]
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = env_str("TIME_ZONE", "UTC")
USE_I18N = True
USE_TZ = True

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = Path(env_str("STATIC_ROOT", str(BASE_DIR / "staticfiles")))

EMAIL_BACKEND = env_str("EMAIL_BACKEND", "django.core.mail.backends.smtp.EmailBackend")
EMAIL_FILE_PATH = env_str("EMAIL_FILE_PATH", str(BASE_DIR / "var" / "mail"))
EMAIL_HOST = env_str("EMAIL_HOST", "localhost")
EMAIL_PORT = env_int("EMAIL_PORT", default=25)
EMAIL_HOST_USER = env_str("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD = env_secret("EMAIL_HOST_PASSWORD", "")
EMAIL_TIMEOUT = 10
EMAIL_USE_TLS = env_bool("EMAIL_USE_TLS", default=False)
DEFAULT_FROM_EMAIL = env_str("DEFAULT_FROM_EMAIL", "Fracture Site <no-reply@localhost>")

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.api.authentication.MiddlewareTokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["accounts.api.permissions.ClinicMember"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": [
        "rest_framework.parsers.JSONParser",
        "rest_framework.parsers.MultiPartParser",
        "rest_framework.parsers.FormParser",
    ],
    "DEFAULT_PAGINATION_CLASS": "diagnosis.api.pagination.CreatedCursorPagination",
    "PAGE_SIZE": 50,
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "diagnosis.api.errors.exception_handler",
    "DEFAULT_THROTTLE_CLASSES": ["accounts.api.throttling.PatientThrottle"],
    "DEFAULT_THROTTLE_RATES": {"user": env_str("API_THROTTLE_RATE", "1200/min")},
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}

SPECTACULAR_SETTINGS = {
    "TITLE": "Fracture Site API",
    "DESCRIPTION": (
        "Patients, studies, radiographs, AI results and signed reports of one clinic. "
        "Results aid and do not replace a clinician."
    ),
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": r"/api/v1",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "TAGS": [
        {"name": "patients", "description": "People of the clinic and their record numbers."},
        {"name": "retention", "description": "How long the clinic keeps its patients."},
        {"name": "erasures", "description": "Patients who are erased, and when."},
        {"name": "exports", "description": "All data of one patient as a file."},
        {"name": "studies", "description": "Requests for an examination; images go to them."},
        {"name": "images", "description": "Radiographs: data, results, bytes."},
        {"name": "uploads", "description": "Files in parts, for lines that break (tus 1.0.0)."},
        {"name": "findings", "description": "Marked places and the doctors' decisions about them."},
        {"name": "alerts", "description": "Critical results that somebody must acknowledge."},
        {"name": "discrepancies", "description": "Two answers to one study that differ."},
        {"name": "recalls", "description": "Patients who have to be told of one."},
        {"name": "annotations", "description": "Measurements and notes of the caller."},
        {"name": "key-images", "description": "Pictures that are kept for the report."},
        {"name": "macros", "description": "Short names for texts."},
        {"name": "reports", "description": "Drafts, signatures, amendments, PDFs."},
        {"name": "destinations", "description": "Systems that get results."},
        {"name": "deliveries", "description": "What was sent to them, and what was not."},
        {"name": "models", "description": "The AI models that make results."},
        {"name": "me", "description": "The caller."},
        {"name": "audit-events", "description": "Who did or read what."},
    ],
    "ENUM_NAME_OVERRIDES": {
        "RejectReasonEnum": "diagnosis.models.vocabulary.RejectReason.choices",
        "AnnotationKindEnum": "diagnosis.models.Annotation.Kind",
        "DiscrepancyKindEnum": "diagnosis.models.Discrepancy.Kind",
        "DiscrepancySeverityEnum": "diagnosis.models.Discrepancy.Severity",
        "RecallOutcomeEnum": "diagnosis.models.RecallTask.Outcome",
        "OutcomeEnum": "accounts.models.AuditEvent.Outcome",
        "SeverityEnum": "diagnosis.models.vocabulary.Severity.choices",
        "ErasureReasonEnum": "diagnosis.models.Erasure.Reason",
        "SourceEnum": [("ai", "AI"), ("doctor", "Doctor")],
        "ErasureSourceEnum": "diagnosis.models.Erasure.Source",
        "AnalysisStatusEnum": "diagnosis.models.Analysis.Status",
        "DeliveryEventEnum": "diagnosis.models.Event",
        "DestinationKindEnum": "diagnosis.models.Destination.Kind",
        "ReportStatusEnum": "diagnosis.models.ReportVersion.Status",
        "StudyStatusEnum": "diagnosis.models.Study.Status",
    },
}
