"""Resuming a run: work folder, journal, stored plan and patches, fingerprint."""
