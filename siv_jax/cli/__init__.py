"""The edge of every command: flags, errors as one line, a run's command as text."""
