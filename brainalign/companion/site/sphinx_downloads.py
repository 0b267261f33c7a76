"""Sphinx extension of the book: a picture that is on a page is not stored again as a download."""

import posixpath
from pathlib import Path

from brainalign.files import file_sha256

_PATH = "brainalign_path"


def drop_button(app, config) -> None:
    """Handle `config-inited`: no button for the executed notebook, which the website leaves out."""
    config.html_theme_options = {**config.html_theme_options, "use_download_button": False}


def note_paths(app, doctree) -> None:
    """Handle `doctree-read`: keep the path of a download, which is relative to its own page."""
    from sphinx.addnodes import download_reference

    for node in doctree.findall(download_reference):
        if "://" not in node["reftarget"]:
            node[_PATH] = app.env.relfn2path(node["reftarget"], app.env.docname)[0]


def _shown(environment) -> dict[str, str]:
    """Pictures of all pages: checksum to name in the website's folder of images."""
    root = Path(environment.srcdir)
    paths = {root / path: name for path, (_, name) in environment.images.items()}
    return {file_sha256(path): name for path, name in paths.items() if path.is_file()}


def drop_copies(app, environment) -> None:
    """Handle `env-updated`: do not copy downloads that are among the pages' pictures."""
    shown = _shown(environment)
    for path in [path for path in environment.dlfiles if path.endswith(".png")]:
        if file_sha256(Path(environment.srcdir, path)) in shown:
            del environment.dlfiles[path]


def link_pictures(app, doctree, docname: str) -> None:
    """Handle `doctree-resolved`: a download of such a picture is a link to the picture itself."""
    from sphinx.addnodes import download_reference
    from sphinx.util.osutil import relative_uri

    found = list(doctree.findall(download_reference)) if app.builder.format == "html" else []
    found = [node for node in found if node.get(_PATH, "").endswith(".png")]
    shown = _shown(app.env) if found else {}
    page = "" if app.builder.name == "singlehtml" else app.builder.get_target_uri(docname)
    for node in found:
        path = Path(app.env.srcdir, node[_PATH])
        if name := path.is_file() and shown.get(file_sha256(path)):
            address = relative_uri(page, posixpath.join(app.builder.imagedir, name))
            node.replace_self(_link(node.astext(), path.name, address))


def _link(text: str, name: str, address: str):
    """A link that saves the picture under its own name."""
    from docutils import nodes

    opening = f'<a class="reference download internal" download="{name}" href="{address}">'
    link = nodes.inline()
    link += nodes.raw("", opening, format="html")
    link += nodes.literal("", text, classes=["xref", "download"])
    link += nodes.raw("", "</a>", format="html")
    return link


def setup(app) -> dict:
    """Register the extension."""
    app.connect("config-inited", drop_button)
    app.connect("doctree-read", note_paths)
    app.connect("env-updated", drop_copies)
    app.connect("doctree-resolved", link_pictures)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
