"""A report as one file: the first page, findings and classes one after the other, all inside.

It can be sent by mail, and printed as a whole. Pages become articles whose ids begin with the name
of the page, links between them become links inside the file; pictures, styles and scripts are
embedded. Pages of single images, the table of all images and data for programs stay outside: what
leads there is text.
"""

import base64
import hashlib
import mimetypes
import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from html.parser import HTMLParser

from pipeline.report.pages.templates import ASSETS, asset
from pipeline.store import Run

PATH = "report.html"
"""Beside the folder of the report, whose pages have other links."""

_EMPTY = {"meta", "link", "img", "input", "br"}
_REFERENCES = ("for", "aria-labelledby", "list")


def write_single_file(run: Run) -> str:
    """Write the report that lies in ``report/`` as one file; return its path in the run."""
    paths = _pages(run.list("report"))
    parts = [_Page(run, path, {*paths}) for path in paths]
    styles = [asset(name).decode() for name in ASSETS if name.endswith(".css")]
    styles += [f"#{_id(page.path)} {{ {page.style} }}" for page in parts]
    first, *others = parts
    scripts = [asset(name).decode() for name in ASSETS if name.endswith(".js")]
    hashes = " ".join(f"'sha256-{_hash(script)}'" for script in scripts)
    policy = (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {hashes}; "
        "base-uri 'none'; form-action 'none'"
    )
    text = "\n".join(
        [
            "<!doctype html>",
            first.opening,
            '<head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{escape(first.title)}</title>",
            '<link rel="icon" href="data:,">',
            f"<style>{first.root_style}\n{''.join(styles)}</style></head><body>",
            *(f'<article id="{_id(page.path)}">{page.body}</article>' for page in (first, *others)),
            *(f"<script>{script}</script>" for script in scripts),
            "</body></html>\n",
        ]
    )
    run.write(PATH, text.encode("utf-8"))
    return PATH


def _pages(paths: Iterable[str]) -> tuple[str, ...]:
    """Return the pages that are embedded, in their order, relative to the report's folder."""
    inside = [path.removeprefix("report/") for path in paths]

    def numbered(folder: str) -> list[str]:
        found = [path for path in inside if re.fullmatch(rf"{folder}/\d+\.html", path)]
        return sorted(found, key=lambda path: int(posixpath.basename(path)[:-5]))

    return "index.html", *(page for name in ("findings", "classes") for page in numbered(name))


class _Page(HTMLParser):
    """One page: its body with embedded pictures, and its own style."""

    def __init__(self, run: Run, path: str, inside: set[str]) -> None:
        super().__init__(convert_charrefs=False)
        self.path, self.style, self.root_style, self.title, self.opening = path, "", "", "", ""
        self._run, self._inside = run, inside
        self._out: list[str] = []
        self._open: list[tuple[str, str]] = []
        self._collected: list[str] | None = None
        self._left_out = 0
        self.feed(run.read(f"report/{path}").decode("utf-8"))
        self.close()
        self.body = "".join(self._out)

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag == "html":
            self.opening = f"<html{self._attributes(named | {'data-root': '', 'data-single': ''})}>"
        if self._is_left_out(tag, named) or self._left_out:
            self._left_out += tag not in _EMPTY
            return
        if tag in ("style", "title"):
            self._collected = []
        if not any(each == "body" for each, _ in self._open) or tag == "script":
            self._push(tag, "")
            return
        if tag == "a" and "href" in named:
            tag, named = self._link(named)
        self._out.append(f"<{tag}{self._attributes(named)}>")
        self._push(tag, tag)

    def handle_startendtag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        if not self._left_out:
            self._out.append(f"<{tag}{self._attributes(dict(attrs))}/>")

    def handle_endtag(self, tag: str) -> None:
        if self._left_out:
            self._left_out -= 1
            return
        if tag in ("style", "title") and self._collected is not None:
            self._keep(tag, "".join(self._collected))
            self._collected = None
        _, written = self._open.pop()
        if written:
            self._out.append(f"</{written}>")

    def handle_data(self, data: str) -> None:
        if self._collected is not None:
            self._collected.append(data)
        elif not self._left_out and any(each == "body" for each, _ in self._open):
            self._out.append(data)

    def handle_entityref(self, name: str) -> None:
        self.handle_data(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self.handle_data(f"&#{name};")

    def _push(self, tag: str, written: str) -> None:
        if tag not in _EMPTY:
            self._open.append((tag, written))

    def _is_left_out(self, tag: str, named: Mapping[str, str | None]) -> bool:
        """Controls work for the first page; other pages need neither them nor its light-box."""
        if self.path == "index.html":
            return False
        classes = (named.get("class") or "").split()
        return tag == "dialog" or "controls" in classes or "skip" in classes

    def _keep(self, tag: str, text: str) -> None:
        if tag == "title":
            self.title = self.title or text
            return
        text = re.sub(r"url\(([^)\"']+)\)", lambda found: f"url({self._data(found[1])})", text)
        root, _, own = text.partition("}\n")
        self.root_style, self.style = f"{root}}}", own
        if own.lstrip().startswith(":root"):
            shared, _, self.style = own.partition("}\n")
            self.root_style += f"{shared}}}"

    def _link(self, named: dict[str, str | None]) -> tuple[str, dict[str, str | None]]:
        """Return a link inside the file; one that leads outside becomes text."""
        path, _, fragment = (named["href"] or "").partition("#")
        target = posixpath.normpath(posixpath.join(posixpath.dirname(self.path), path))
        if not path:
            return "a", named | {"href": f"#{self._own(fragment)}"}
        if target in self._inside:
            to = _own(target, fragment) if fragment else _id(target)
            return "a", named | {"href": f"#{to}"}
        if "data-row" in named:
            return "a", named | {"href": "#"}
        return "span", {key: value for key, value in named.items() if key != "href"}

    def _own(self, name: str) -> str:
        return _own(self.path, name)

    def _attributes(self, named: Mapping[str, str | None]) -> str:
        written = []
        for key, value in named.items():
            if key == "id" or key in _REFERENCES:
                value = self._own(value or "")
            elif key == "src":
                path = self._inner(value or "")
                written.append(f' data-path="{escape(path)}"')
                value = self._data(value or "")
            written.append(f" {key}" if value is None else f' {key}="{escape(value)}"')
        return "".join(written)

    def _inner(self, path: str) -> str:
        return posixpath.normpath(posixpath.join(posixpath.dirname(self.path), path))

    def _data(self, path: str) -> str:
        """Return a picture of the report as an address that contains it."""
        if path.startswith("data:"):
            return path
        content = self._run.read(f"report/{self._inner(path)}")
        kind = mimetypes.guess_type(path)[0] or "image/webp"
        return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _id(path: str) -> str:
    return "page-" + path.removesuffix(".html").replace("/", "-")


def _own(path: str, name: str) -> str:
    """Return an id of a page in the file; those of the first page stay, for its scripts."""
    return name if path == "index.html" else f"{_id(path)}-{name}"


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
