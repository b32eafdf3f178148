"""Errors that end a use case; each text names what was found and what to do."""

from __future__ import annotations

WHY_UNKNOWN = "it was never published, or was deleted, or has yet to pass through the stages (territory wait)"
"""Why a record may not be found."""


class CommandFailed(Exception):
    """The root of the use cases' errors, and of the command line's."""


class NotFound(CommandFailed):
    """Raised when a record, user, territory or model does not exist."""


class Refused(CommandFailed):
    """Raised when a request can't be carried out; nothing was changed unless the text says so."""


class NotReached(CommandFailed):
    """Raised when a deadline passes before the awaited state is reached."""


class StackFailed(CommandFailed):
    """Raised when the broker or a service of the embedded stack does not start, or ends by itself."""
