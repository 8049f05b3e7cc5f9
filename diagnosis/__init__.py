"""Patients, studies, analyses and reports."""
