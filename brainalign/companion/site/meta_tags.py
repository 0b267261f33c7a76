"""What a page says of itself to search engines and to sites that link to it."""

import html
import re

from docutils import nodes

IMAGE, ICON = "_static/social-card.png", "_static/favicon.png"
_SITE, _CARD = "brainalign", ("1200", "630")
_CARD_ALT = (
    "The name brainalign, and brain scores of language models against their size, published values: "
    "both hemispheres rise, the left one faster."
)
_LONGEST = 200
_AWAY = (nodes.Admonition, nodes.table, nodes.literal_block, nodes.topic, nodes.sidebar)


def description(doctree: nodes.document | None) -> str:
    """First paragraph of a page that belongs to its text, cut between words.

    Parameters
    ----------
    doctree
        The page, resolved; None for pages without one (search).

    Returns
    -------
    str
        At most 200 characters; empty where there is no such paragraph.
    """
    if doctree is None:
        return ""
    for paragraph in doctree.findall(nodes.paragraph):
        above, inside = paragraph.parent, False
        while above is not None:
            inside = inside or isinstance(above, _AWAY)
            above = above.parent
        text = " ".join(paragraph.astext().split())
        if text and not inside:
            return _cut(text)
    return ""


def _cut(text: str) -> str:
    if len(text) <= _LONGEST:
        return text
    return text[: _LONGEST - 1].rsplit(" ", 1)[0].rstrip(" ,;:–") + "…"


def tags(title: str, text: str, image: str, address: str = "") -> str:
    """Tags for the head of a page.

    Parameters
    ----------
    title
        Of the page.
    text
        Its description; may be empty.
    image
        Address of the social card.
    address
        Of the page; empty while the site has none.

    Returns
    -------
    str
        HTML, one tag to a line.
    """
    named = {"description": text, "twitter:card": "summary_large_image"}
    named |= {"twitter:title": title, "twitter:description": text, "twitter:image": image}
    named |= {"twitter:image:alt": _CARD_ALT}
    properties = {"og:type": "website", "og:site_name": _SITE, "og:title": title}
    properties |= {"og:description": text, "og:url": address, "og:image": image}
    properties |= dict(zip(("og:image:width", "og:image:height"), _CARD, strict=True))
    properties |= {"og:image:alt": _CARD_ALT}
    lines = [_tag("name", key, value) for key, value in named.items() if value]
    lines += [_tag("property", key, value) for key, value in properties.items() if value]
    return "\n".join(lines)


def _tag(attribute: str, key: str, value: str) -> str:
    return f'<meta {attribute}="{key}" content="{html.escape(value)}">'


def add_tags(app, pagename: str, templatename: str, context: dict, doctree) -> None:
    """Handle `html-page-context`: describe the page in its head, name the icon for telephones.

    Addresses are whole where the site has one (`[project.urls] Homepage` in pyproject.toml), and
    relative to the page otherwise.
    """
    site = (app.config.html_baseurl or "").rstrip("/")
    pathto = context["pathto"]
    image = f"{site}/{IMAGE}" if site else pathto(IMAGE, resource=True)
    title = " ".join(_plain(str(context.get("title", ""))).split()) or _SITE
    address = f"{site}/{pagename}.html" if site else ""
    icon = f'<link rel="apple-touch-icon" href="{pathto(ICON, resource=True)}">'
    found = tags(title, description(doctree), image, address)
    context["metatags"] = f"{context.get('metatags', '')}\n{found}\n{icon}"


def _plain(title: str) -> str:
    """Text of a title that Sphinx gives as HTML."""
    return html.unescape(re.sub(r"<[^>]+>", "", title))
