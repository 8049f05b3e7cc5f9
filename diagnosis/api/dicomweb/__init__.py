"""DICOMweb (PS3.18): STOW-RS, QIDO-RS and WADO-RS below ``/api/dicomweb/``, for one clinic."""
