"""Endpoints by noun: parse, call a service or selector, answer."""
