# SPDX-License-Identifier: Apache-2.0
"""What fathom raises, with the one-line texts of the program."""

from __future__ import annotations


class Error(Exception):
    """Everything that a caller, a file or a text can get wrong.

    One line that names the file, text or option, what was expected and what came.
    """


class OptionError(Error, ValueError):
    """A request that cannot be served, whatever the data: an option, a layer, a task's name."""


class TextError(Error, ValueError):
    """A text, or a list of token ids, that cannot be embedded. Names its index, counted from 0."""


class FileError(Error, OSError):
    """A file that is missing or cannot be used: a model, a vocabulary, a policy, a data set."""
