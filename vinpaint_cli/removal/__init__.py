"""One removal from the command to the finished file; `run.py` shows the order of events."""
