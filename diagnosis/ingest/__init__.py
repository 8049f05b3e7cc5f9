"""Bytes to a trusted image: sniffing, limits, decoding in a limited process, de-identification.

The way in is ``diagnosis.ingest.images``. This file stays empty: the limited process imports the
package without Django.
"""
