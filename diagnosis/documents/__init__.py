"""The printed report: frozen data in, PDF/A bytes out. Knows no model and no database."""
