"""What a page says, without what it hides: text that no reader would see is no text.

Works on hostile input: the tree is bounded by the size of the body, and the work happens in a
thread that is given up on after a while.
"""

from __future__ import annotations

import asyncio
import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from lxml import etree, html

from kos.errors import UserError

SECONDS = 8.0
HTML_TYPES = ("text/html", "application/xhtml+xml")
TEXT_TYPES = ("text/plain", "application/json", "application/xml", "text/xml")
# A page whose article is shorter than this may have no article.
MIN_ARTICLE_CHARS = 200
_NEVER_SHOWN = "script|style|template|noscript|iframe|object|embed|svg|canvas|head/link|head/meta"
_HIDDEN = (
    "//*[@hidden or translate(@aria-hidden, 'TRUE', 'true')='true'"
    " or (self::input and translate(@type, 'HIDEN', 'hiden')='hidden')]"
)
_HIDING_STYLE = re.compile(
    r"display:none|visibility:(?:hidden|collapse)|font-size:0(?:\.0+)?(?:px|pt|em|rem|%)?(?:[;!]|$)"
    r"|opacity:0(?:\.0+)?(?:[;!]|$)|content-visibility:hidden"
)
_BLOCKS = "p|li|h1|h2|h3|h4|h5|h6|tr|pre|blockquote|dt|dd|td|div|section"
# Threads that hang on a pathological page are few and never those of anybody else.
_threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="extraction")


class Page(NamedTuple):
    """What a page says."""

    title: str
    text: str


async def extract(content: bytes, content_type: str, *, charset: str = "", url: str = "") -> Page:
    """The title and the main text of a body.

    ``UserError`` on types that are not read, and on a page that takes longer than 8 s.
    """
    if content_type == "application/pdf":
        raise UserError("that is a PDF, which is not read here. Look for a web page that says it.")
    if content_type in TEXT_TYPES:
        return Page("", _plain(content, content_type, charset))
    if content_type not in HTML_TYPES:
        shown = content_type or "no type"
        raise UserError(f"that is no page of text ({shown[:60]}). Read another result.")
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(SECONDS):
            return await loop.run_in_executor(_threads, read_html, content, charset, url)
    except TimeoutError:
        raise UserError("that page is too tangled to read. Read another result.") from None


def read_html(content: bytes, charset: str = "", url: str = "") -> Page:
    """The title and the main text of an HTML page; its hidden parts are gone."""
    try:
        tree = html.document_fromstring(content, parser=_parser(content, charset))
    except (etree.LxmlError, ValueError):
        return Page("", "")
    title = " ".join((tree.findtext(".//title") or "").split())
    drop_hidden(tree)
    whole = _all_blocks(tree)
    # Here: every process lists the tools at its start, and it takes a quarter of a second.
    import trafilatura

    article = trafilatura.extract(
        tree,
        url=url or None,
        output_format="txt",
        favor_recall=True,
        include_comments=False,
        include_tables=True,
        include_links=False,
        include_images=False,
    )
    is_enough = article and (len(article) >= MIN_ARTICLE_CHARS or len(article) >= len(whole) / 2)
    return Page(title, (article or "") if is_enough else whole)


def drop_hidden(tree: html.HtmlElement) -> None:
    """Take out what a browser would not show, and comments. The text behind it stays."""
    for comment in list(tree.iter(etree.Comment, etree.ProcessingInstruction)):
        _drop(comment)
    found = [*tree.xpath("|".join(f"//{name}" for name in _NEVER_SHOWN.split("|")))]
    found += tree.xpath(_HIDDEN)
    found += [part for part in tree.xpath("//*[@style]") if _is_hiding(part.get("style", ""))]
    for part in found:
        if part.getparent() is not None:
            _drop(part)


def _is_hiding(style: str) -> bool:
    plain = re.sub(r"/\*.*?\*/|\s", "", style.lower())
    return _HIDING_STYLE.search(plain) is not None


def _drop(part: html.HtmlElement) -> None:
    parent, tail = part.getparent(), part.tail or ""
    if parent is None:
        return
    before = part.getprevious()
    if before is None:
        parent.text = (parent.text or "") + tail
    else:
        before.tail = (before.tail or "") + tail
    parent.remove(part)


def _all_blocks(tree: html.HtmlElement) -> str:
    """The text of the innermost blocks, for pages that have no article in them."""
    blocks = _BLOCKS.split("|")
    lines = []
    for block in tree.iter(*blocks):
        if next(block.iterdescendants(*blocks), None) is None:
            lines.append(" ".join(block.text_content().split()))
    text = "\n".join(line for line in lines if line)
    return text or " ".join(tree.text_content().split())


def _parser(content: bytes, charset: str) -> html.HTMLParser:
    """The charset of the header, else UTF-8 where it fits, else what the page says itself."""
    try:
        content.decode(charset or "utf-8")
    except (LookupError, UnicodeDecodeError):
        return html.HTMLParser(huge_tree=False, remove_comments=True)
    return html.HTMLParser(encoding=charset or "utf-8", huge_tree=False, remove_comments=True)


def _plain(content: bytes, content_type: str, charset: str) -> str:
    try:
        text = content.decode(charset or "utf-8", "replace")
    except LookupError:
        text = content.decode("utf-8", "replace")
    if content_type != "application/json":
        return text
    try:
        return json.dumps(json.loads(text), indent=1, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text
