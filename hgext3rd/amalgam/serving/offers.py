# SPDX-License-Identifier: GPL-2.0-or-later
"""What extensions offer to the pages of hgweb.

A page has a section of each extension that offers one for the repository. The
permission to read the repository is checked before anything here is called.
Imported whenever an extension is loaded: keep it light.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

#: All pages, and what links to them say.
PAGES = {'storage': 'storage', 'lfs': 'large files'}


class Offer:
    """The part that one extension has in the page ``page``.

    Not a dataclass, which would take a millisecond of every command to make.

    ``applies`` takes a repository and says whether it has the section; it is
    called for every page of hgweb, so it has to be cheap. ``section`` takes
    hgweb's context of a request and returns a ``pages.blocks.Section``.
    ``values`` takes a repository and yields a ``pages.summaries.Value`` for each
    of its figures in the summary of a server. ``act`` takes the context of a POST
    request, has to check everything, and returns the address to go to. Sections
    are in the order of ``rank``.
    """

    def __init__(
        self,
        page: str,
        rank: int,
        applies: Callable[[Any], bool],
        section: Callable[[Any], Any],
        values: Callable[[Any], Iterable[Any]] | None = None,
        act: Callable[[Any], bytes] | None = None,
    ) -> None:
        self.page = page
        self.rank = rank
        self.applies = applies
        self.section = section
        self.values = values
        self.act = act


_offers: dict[str, Offer] = {}


def register(name: str, offer: Offer) -> None:
    """Add an offer; it takes the place of an earlier one of that name."""
    _offers[name] = offer


def offers(repo: Any, page: str | None = None) -> Iterator[Offer]:
    """Yield what applies to a repository, for one page or for all."""
    for offer in sorted(_offers.values(), key=lambda offer: offer.rank):
        if page in (None, offer.page) and offer.applies(repo):
            yield offer


def pages(repo: Any) -> list[str]:
    """Return the names of the pages that a repository has."""
    found = {offer.page for offer in offers(repo)}
    return [page for page in PAGES if page in found]
