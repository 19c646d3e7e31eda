"""The elements of a long XML file, one at a time; no entity is expanded, no DTD fetched."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse

from kos.errors import UserError


def read_elements(file: IO[bytes], name: str, *tags: str) -> Iterator[Element]:
    """The elements with one of ``tags``, each emptied once it was used.

    ``name`` is the entry's, for the sentence of the UserError when the XML is broken.
    """
    count = 0
    parents: list[Element] = []
    try:
        for event, element in iterparse(file, events=("start", "end")):
            if event == "start":
                parents.append(element)
                continue
            parents.pop()
            if element.tag in tags:
                count += 1
                yield element
                # Emptying alone would leave the shells of millions of siblings in the parent.
                if parents:
                    parents[-1].remove(element)
    except (ParseError, DefusedXmlException) as error:
        raise UserError(f"{name} is broken XML after {count} entries: {error}.") from error
