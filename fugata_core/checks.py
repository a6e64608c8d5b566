"""The tag of the system checks that each start runs."""

#: The tag of checks that each start runs: those that depend on the settings.
START = "start"
