"""The DICOM listener: a process of its own that takes images in and answers queries."""
