"""The standard interfaces: where they listen and what they take."""

from fracture_site.settings.env import env_bool, env_int, env_list, env_str

# MLLP (HL7 v2). Without a certificate the listener speaks plainly: then only to this machine, or
# to a network that is private.
HL7_HOST = env_str("HL7_HOST", "127.0.0.1")
HL7_PORT = env_int("HL7_PORT", default=2575)
HL7_TLS_CERTIFICATE = env_str("HL7_TLS_CERTIFICATE", "")
HL7_TLS_KEY = env_str("HL7_TLS_KEY", "")
HL7_TLS_CLIENT_AUTHORITY = env_str("HL7_TLS_CLIENT_AUTHORITY", "")
HL7_MAX_BYTES = env_int("HL7_MAX_BYTES", default=2**20, minimum=2**10)
HL7_THREADS = env_int("HL7_THREADS", default=4, minimum=1)

# SNOMED CT codes beside our own ones; in some countries they need a licence.
FHIR_SNOMED = env_bool("FHIR_SNOMED", default=True)

# The DICOM listener. With a certificate it demands one of each client, of DIMSE_TLS_CLIENT_CA.
DIMSE_HOST = env_str("DIMSE_HOST", "127.0.0.1")
DIMSE_PORT = env_int("DIMSE_PORT", default=11112, minimum=1)
DIMSE_AE_TITLE = env_str("DIMSE_AE_TITLE", "FRACTURE_SITE")
DIMSE_TLS_CERTIFICATE = env_str("DIMSE_TLS_CERTIFICATE", "")
DIMSE_TLS_KEY = env_str("DIMSE_TLS_KEY", "")
DIMSE_TLS_CLIENT_CA = env_str("DIMSE_TLS_CLIENT_CA", "")
# Without TLS only this machine is served, unless the operator says that the network is trusted.
DIMSE_PLAIN_NETWORK = env_bool("DIMSE_PLAIN_NETWORK", default=False)
DIMSE_MAX_CONNECTIONS = env_int("DIMSE_MAX_CONNECTIONS", default=32, minimum=1)
DIMSE_MAX_CONNECTIONS_PER_ADDRESS = env_int("DIMSE_MAX_CONNECTIONS_PER_ADDRESS", default=8)
DIMSE_MAX_MATCHES = env_int("DIMSE_MAX_MATCHES", default=500, minimum=1)
DIMSE_MEMORY_BYTES = env_int("DIMSE_MEMORY_BYTES", default=2 * 2**30)

# Web applications elsewhere (https://viewer.example,…) whose pages may read DICOMweb and FHIR with
# a token of theirs; never with a session's cookie. None unless named.
CORS_ALLOWED_ORIGINS = env_list("CORS_ALLOWED_ORIGINS")
CORS_URLS_REGEX = r"^/(api/dicomweb/|fhir/R4/|oauth/token$)"
CORS_ALLOW_CREDENTIALS = False
CORS_EXPOSE_HEADERS = ["Content-Location", "ETag", "Last-Modified", "Location", "Warning"]

# Networks (10.0.0.0/8,…) that results may be sent to although they are private: a hospital's own.
DELIVERY_PRIVATE_NETWORKS = env_list("DELIVERY_PRIVATE_NETWORKS")
