"""Sphinx extension of the book: its pages carry no script that could ask the network."""

from pathlib import Path
from typing import Any

from brainalign.companion.site.meta_tags import add_tags
from brainalign.companion.site.page_repairs import repair_site


def _is_thebe(script: Any) -> bool:
    """Whether a script belongs to thebe, which Jupyter Book adds though it is switched off."""
    name = str(getattr(script, "filename", None) or script)
    body = str((getattr(script, "attributes", None) or {}).get("body", ""))
    return "thebe" in name.lower() or "thebe" in body.lower()


def drop_thebe(app, pagename: str, templatename: str, context: dict, doctree) -> None:
    """Handle `html-page-context`: take thebe's scripts out of a page."""
    scripts = context.get("script_files", [])
    context["script_files"] = [script for script in scripts if not _is_thebe(script)]


def repair_pages(app, exception) -> None:
    """Handle `build-finished`: mend what theme and extensions write, see `page_repairs`."""
    if exception is None and app.builder.format == "html":
        repair_site(Path(app.outdir))


def setup(app) -> dict:
    """Register the extension."""
    app.connect("html-page-context", drop_thebe, priority=900)
    app.connect("html-page-context", add_tags, priority=900)
    app.connect("build-finished", repair_pages, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
