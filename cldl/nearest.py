"""Suggestions in error messages: which known name was meant by an unknown one."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection


def nearest(name: str, names: Collection[str], prefix: str = "") -> str:
    """The question whether a similar name is meant, or one of which this is the beginning or the initials.

    Nothing where there is none.

    >>> nearest("dropuot", ["model.dropout", "schedule.epochs"])
    ': did you mean dropout?'
    >>> nearest("lr", ["model.dropout", "schedule.learning_rate"])
    ': did you mean learning_rate?'
    """
    known = [*(known.partition(".")[2] for known in names), *names]
    short = [k for k in known if k.startswith(name) or "".join(word[:1] for word in re.split("[-_]", k)) == name]
    close = short or difflib.get_close_matches(name, known)  # the best first
    return f": did you mean {prefix}{close[0]}?" if close else ""
