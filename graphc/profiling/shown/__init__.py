"""Profiles as people see them: tables, maps, charts and traces."""
