"""Why a command ends without having done what it was asked; `__main__` makes one line of each."""

from __future__ import annotations


class CommandFailed(Exception):
    """The root of the command line's own errors: the text is for people and says what to do."""


class NotFound(CommandFailed):
    """Raised when a record, a user, a territory or a model that was asked for is not there."""


class Refused(CommandFailed):
    """Raised when what was asked for can't be done as things are, and nothing was changed."""


class NotReached(CommandFailed):
    """Raised when a deadline passed before what was waited for was there."""


class StackFailed(CommandFailed):
    """Raised when the broker or a service of the embedded stack does not start, or dies."""
