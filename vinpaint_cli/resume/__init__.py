"""What a run keeps so that the next one goes on: work folder, journal, stored plan and patches."""
