"""HTML pages from templates. What comes from calls, manifests or files is text in them, never markup."""

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from wellheard.views.screen import visible


def environment(package: str) -> Environment:
    """The templates that lie in a package, such as `wellheard.views.report`."""
    return Environment(
        loader=PackageLoader(package, "."),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _shown(value: object) -> object:
    """What is put into the page: characters that steer or turn the writing come up as escapes."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
