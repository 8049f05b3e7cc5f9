"""Where bytes live: S3, GCS, Azure or a private local folder, chosen by STORAGE_BACKEND."""

from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from fracture_site.settings.env import env_int, env_secret, env_str

SIGNED_LINK_SECONDS = 60
STORAGE_BACKEND = env_str("STORAGE_BACKEND", "local")
PRIVATE_MEDIA_ROOT = Path(
    env_str("PRIVATE_MEDIA_ROOT", str(Path(__file__).resolve().parents[2] / "var" / "media"))
)

# The heads of the audit chains go to the object store and the log; and, as JSON lines, to this
# file: best on a share of another machine that only takes more. Empty: no file.
AUDIT_ANCHOR_FILE = env_str("AUDIT_ANCHOR_FILE", "")
AUDIT_ANCHOR_INTERVAL_S = env_int("AUDIT_ANCHOR_INTERVAL_S", default=60, minimum=1)

# Where `manage.py backup` and the page of backups write: a disk of its own, shared by web and
# worker hosts. Empty: no backups from here (docs/runbooks/backup-and-restore.md).
BACKUP_ROOT = env_str("BACKUP_ROOT", "")
# Who was erased, as ids, kept outside of the database: `restore` erases them again.
ERASURE_LIST = env_str(
    "ERASURE_LIST", str(Path(BACKUP_ROOT) / "erasures.jsonl") if BACKUP_ROOT else ""
)
EXPORT_KEEP_HOURS = env_int("EXPORT_KEEP_HOURS", default=48, minimum=1)
RETENTION_MIN_YEARS = env_int("RETENTION_MIN_YEARS", default=2, minimum=1)
BACKUP_KEEP = env_int("BACKUP_KEEP", default=14, minimum=1)


def _clinical_storage() -> dict[str, Any]:
    """Return Django's STORAGES entry for clinical objects."""
    match STORAGE_BACKEND:
        case "local":
            return {
                "BACKEND": "fracture_site.common.storage.PrivateFileStorage",
                "OPTIONS": {"location": str(PRIVATE_MEDIA_ROOT)},
            }
        case "s3":
            return {
                "BACKEND": "fracture_site.common.storage_s3.PrivateS3Storage",
                "OPTIONS": {
                    "bucket_name": env_str("S3_BUCKET"),
                    "endpoint_url": env_str("S3_ENDPOINT_URL", "") or None,
                    "region_name": env_str("S3_REGION", "") or None,
                    "access_key": env_secret("S3_ACCESS_KEY", "") or None,
                    "secret_key": env_secret("S3_SECRET_KEY", "") or None,
                    "querystring_auth": True,
                    "querystring_expire": SIGNED_LINK_SECONDS,
                    "file_overwrite": False,
                    "default_acl": None,
                    "signature_version": "s3v4",
                    "object_parameters": {"ServerSideEncryption": "AES256"},
                },
            }
        case "gcs":
            return {
                "BACKEND": "fracture_site.common.storage_google.PrivateGoogleStorage",
                "OPTIONS": {
                    "bucket_name": env_str("GCS_BUCKET"),
                    "querystring_auth": True,
                    "expiration": SIGNED_LINK_SECONDS,
                    "file_overwrite": False,
                    "default_acl": None,
                },
            }
        case "azure":
            return {
                "BACKEND": "fracture_site.common.storage_azure.PrivateAzureStorage",
                "OPTIONS": {
                    "azure_container": env_str("AZURE_CONTAINER"),
                    # Holds the account's name, its key and the address.
                    "connection_string": env_secret("AZURE_CONNECTION_STRING"),
                    "expiration_secs": SIGNED_LINK_SECONDS,
                    "overwrite_files": False,
                },
            }
        case other:
            raise ImproperlyConfigured(
                f"STORAGE_BACKEND={other!r}: expected local, s3, gcs or azure"
            )


STORAGES = {
    "default": {"BACKEND": "fracture_site.common.storage.NoDefaultStorage"},
    "clinical": _clinical_storage(),
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

# Limits of one uploaded file and of the child process that decodes it.
INGEST_MAX_BYTES = env_int("INGEST_MAX_BYTES", default=100 * 2**20, minimum=2**20)
INGEST_MAX_PIXELS = env_int("INGEST_MAX_PIXELS", default=64_000_000, minimum=1_000_000)
INGEST_MIN_SIDE = 64
STUDY_MAX_IMAGES = 60  # what a printed report can hold
INGEST_MAX_FRAMES = env_int("INGEST_MAX_FRAMES", default=512, minimum=1)
INGEST_CPU_SECONDS = 20
INGEST_WALL_SECONDS = 30
INGEST_MEMORY_BYTES = 1536 * 2**20
# The only routes that take files, for ``accounts.middleware.UploadMiddleware``.
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
UPLOAD_PATHS = [
    rf"/studies/{_UUID}/upload/",
    rf"/studies/{_UUID}/film/corners/",
    rf"/images/{_UUID}/key-images/",
    rf"/api/v1/studies/{_UUID}/images/",
    rf"/api/v1/images/{_UUID}/key-images/",
    r"/api/dicomweb/studies(/[0-9.]{1,64})?",
]
# The one that takes parts of files, each no larger than a form.
UPLOAD_PART_PATH = rf"/api/v1/uploads/{_UUID}/"
FILE_UPLOAD_MAX_MEMORY_SIZE = 5 * 2**20
DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 2**20  # everything but files
