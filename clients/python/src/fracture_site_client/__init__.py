"""Python client of Fracture Site: patients, studies, radiographs, AI results and reports."""

from fracture_site_client import models
from fracture_site_client.client import FractureSite, NotReadyError
from fracture_site_client.errors import ApiError, ConnectionFailedError

__all__ = ["ApiError", "ConnectionFailedError", "FractureSite", "NotReadyError", "models"]
