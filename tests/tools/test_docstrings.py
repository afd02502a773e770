"""The description and the parameters are found in every usual style of docstring."""

from __future__ import annotations

import pytest

from antiphon.tools.docstrings import read_docstring

GOOGLE = """Finds a thing.

    More about it.

    Args:
        where (str): The place: a folder.
        how: Either `a`
            or `b`.

    Returns:
        where: it was found.
    """
NUMPY = """
    Finds a thing.

    More about it.

    Parameters
    ----------
    where : str
        The place: a folder.
    how : {"a", "b"}, optional
        Either `a`
        or `b`.

    Returns
    -------
    str
        Where it was found.
    """
SPHINX = """Finds a thing.

    More about it.

    :param str where: The place: a folder.
    :param how: Either `a`
        or `b`.
    :returns: Where it was found.
    :raises ValueError: never
    """


@pytest.mark.parametrize("text", [GOOGLE, NUMPY, SPHINX], ids=["google", "numpy", "sphinx"])
def test_sections_are_taken_apart(text: str) -> None:
    told = read_docstring(text)
    assert told.description == "Finds a thing.\n\nMore about it."
    assert told.parameters == {"where": "The place: a folder.", "how": "Either `a` or `b`."}


@pytest.mark.parametrize("text", [None, "", "   \n  "])
def test_no_docstring_tells_nothing(text: str | None) -> None:
    told = read_docstring(text)
    assert (told.description, told.parameters) == ("", {})


def test_prose_that_only_resembles_a_section_stays_in_the_description() -> None:
    text = "Parameters are read from a file.\n\nNotes\nand more: all kept."
    assert read_docstring(text).description == text
