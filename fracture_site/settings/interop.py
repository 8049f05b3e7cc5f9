"""The standard interfaces: where they listen and what they take."""

from fracture_site.settings.env import env_bool, env_int, env_str

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
