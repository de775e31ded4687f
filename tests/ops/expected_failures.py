"""Our cases that a backend is known to miss, and why; each is a strict xfail, so a repaired one shows.

A gap that the backend states itself (`unsupported`) does not belong here.
"""

# (backend, case id) -> reason
EXPECTED_FAILURES: dict[tuple[str, str], str] = {}
