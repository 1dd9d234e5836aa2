"""How two spellings of one name are compared."""

from __future__ import annotations

import unicodedata


def key(name: str) -> str:
    r"""Return what all spellings of a name have in common: Unicode form, case and blanks do not count.

    >>> key(" E\u0301milie  du Cha\u0302telet") == key("\u00e9milie du Ch\u00e2telet ")
    True
    """
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def compact(name: str) -> str:
    """Return a name as Canvas writes it into file names: the sortable name without blanks and marks.

    >>> compact("Lovelace, Ada")
    'lovelaceada'
    """
    return "".join(char for char in key(name) if char.isalnum())


def words(name: str) -> str:
    """Return a name with ``-``, ``_`` and ``.`` as blanks, which is how assignments are compared.

    >>> words("One_Block") == words("one-block")
    True
    """
    return " ".join(key(name).replace("-", " ").replace("_", " ").replace(".", " ").split())
