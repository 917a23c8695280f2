"""What is wrong with a built site: links and anchors that lead nowhere, and what a page loads from elsewhere."""

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADING = {("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "src"), ("link", "href")}
FOR_READERS = {"prev", "next", "alternate", "describedby"}  # links that a browser does not load


class Page(HTMLParser):
    """What a page refers to, and what of it can be referred to."""

    def __init__(self, path):
        super().__init__()
        self.links, self.loaded, self.anchors, self.text = [], [], set(), []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.anchors |= {found[key] for key in ("id", "name") if found.get(key)}
        for key in ("href", "src"):
            if (
                found.get(key) is None or found.get("rel") == "canonical"
            ):  # which of a site that has no address yet is empty
                continue
            loads = (tag, key) in LOADING and found.get("rel") not in FOR_READERS
            (self.loaded if loads else self.links).append(found[key])

    def handle_data(self, data):
        self.text.append(data)


def problems(site):
    """Return a line for each link of a site that leads nowhere, and each thing that is loaded from another host."""
    site = Path(site)
    pages = {path.resolve(): Page(path) for path in site.rglob("*.html")}
    found = []
    for path, page in pages.items():
        if path.name == "404.html":  # its links start from wherever the reader was
            continue
        name = path.relative_to(site.resolve()).as_posix()
        found += [f"{name}: loads {url} from elsewhere" for url in page.loaded if elsewhere(url)]
        for url in {*page.links, *page.loaded}:
            wrong = nowhere(url, path, pages)
            if wrong:
                found.append(f"{name}: {url} {wrong}")
    return sorted(found)


def elsewhere(url):
    """Return whether an address is one of another host."""
    return urlsplit(url).scheme not in ("", "data") or url.startswith("//")


def nowhere(url, path, pages):
    """Return what is wrong with an address, or None; those of other hosts are only read, not asked."""
    parts = urlsplit(url)
    if parts.scheme in ("data", "mailto", "javascript"):
        return None
    if elsewhere(url):
        fine = parts.scheme == "https" and "." in parts.netloc
        return None if fine else "is no address of a page (https://host/...)"
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if target.is_dir():
        target /= "index.html"
    if not target.exists():
        return "leads to no page or file"
    if parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
        return "leads to no heading of that page"
    return None
