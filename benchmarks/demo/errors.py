"""The demo's own error."""


class DemoError(Exception):
    """Something isn't as the demo says it is; the message is for whoever runs it."""
