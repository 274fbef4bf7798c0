# SPDX-License-Identifier: GPL-2.0-or-later
"""The fast path of a single repository: when it is used, and when hgweb is called.

The tests of the endpoint over HTTP check that both give the same responses.
Their server "single" uses the fast path.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import pytest
from helpers.lfsserver_http import CONTENT, Server, oid_of, started

OBJECT = f'/open/.hg/lfs/objects/{oid_of(CONTENT)}'

# Extensions that want to check each request, in different ways.
GATEKEEPERS = {
    'permission hook': """
from mercurial.hgweb import common
def deny(context, req, operation):
    if req.headers.get(b'X-Key') != b'sesame':
        raise common.ErrorResponse(common.HTTP_FORBIDDEN, b'no key')
common.permhooks.append(deny)
""",
    'wrapped method': """
from mercurial import extensions
from mercurial.hgweb import common
def check(orig, self, context, req, operation):
    if req.headers.get(b'X-Key') != b'sesame':
        raise common.ErrorResponse(common.HTTP_FORBIDDEN, b'no key')
    return orig(self, context, req, operation)
def uisetup(ui):
    try:
        from mercurial.hgweb.hgweb_mod_inner import hgweb
    except ImportError:
        from mercurial.hgweb.hgweb_mod import hgweb
    extensions.wrapfunction(hgweb, 'check_perm', check)
""",
}


@pytest.fixture
def server(
    request: pytest.FixtureRequest, tmp_path: pathlib.Path
) -> Iterator[Server]:
    """A server of one repository.

    ``param`` is the text of an additional extension, or None.
    """
    extra = ''
    if request.param:
        extension = tmp_path / 'other.py'
        extension.write_text(request.param)
        extra = (
            f'[extensions]\nsqlitestore =\nwireprotov2 =\nother = {extension}\n'
        )
    with started(Server('single', tmp_path, extra)) as server:
        yield server


plain = pytest.mark.parametrize('server', [None], indirect=True)


@plain
def test_configuration_is_current(server: Server) -> None:
    """A changed hgrc applies to the next request."""
    assert server.put(CONTENT).status == 201
    hgrc = server.folder / 'open' / '.hg' / 'hgrc'
    for text, get, put in [
        ('[web]\ndeny_read = *\n', 401, 401),
        ('[web]\nallow-pull = no\n', 401, 200),
        ('[web]\ndeny_push = *\n', 200, 401),
        ('[web]\npush_ssl = yes\n', 200, 403),
        ('', 200, 200),
        ('[lfsserver]\nmax-object-size = 10\n', 200, 413),
    ]:
        hgrc.write_text(text)
        assert (server.get(oid_of(CONTENT)).status, text) == (get, text)
        assert (server.put(CONTENT).status, text) == (put, text)
    hgrc.unlink()
    assert server.put(CONTENT).status == 200


@plain
def test_configuration_is_broken(server: Server) -> None:
    """No request is permitted while the configuration cannot be read."""
    assert server.put(CONTENT).status == 201
    hgrc = server.folder / 'open' / '.hg' / 'hgrc'
    hgrc.write_text('this is no configuration\n')
    answer = server.get(oid_of(CONTENT))
    assert answer.status == 500
    assert answer.message == 'the repository cannot be opened'
    assert 'no configuration' in server.log.read_text()
    hgrc.unlink()
    assert server.get(oid_of(CONTENT)).body == CONTENT


@plain
def test_no_longer_served(server: Server) -> None:
    """hgweb gets the requests after LFS is disabled, and reports an error."""
    assert server.put(CONTENT).status == 201
    hgrc = server.folder / 'open' / '.hg' / 'hgrc'
    hgrc.write_text('')
    # Now hgweb has opened the repository with this configuration.
    assert server.request('GET', '/open/log').status == 200
    hgrc.write_text('[lfsserver]\nserve = no\n')
    answer = server.get(oid_of(CONTENT))
    assert (answer.status, CONTENT in answer.body) != (200, True)
    hgrc.unlink()
    assert server.get(oid_of(CONTENT)).body == CONTENT


@pytest.mark.parametrize(
    'server', GATEKEEPERS.values(), ids=GATEKEEPERS, indirect=True
)
def test_foreign_checks_are_called(server: Server) -> None:
    for key, get, put in [('sesame', 404, 201), ('wrong', 403, 403)]:
        fields = {'X-Key': key}
        assert server.request('GET', OBJECT, headers=fields).status == get
        assert server.put(CONTENT, headers=fields).status == put


# This wrapper of hgweb would make every request fail, but it declares that LFS
# requests may skip it. The other extensions wrap hgweb as well.
BESIDE_OTHERS = """
from mercurial import extensions
from hgext3rd.amalgam import wrapping
@wrapping.own_addresses_only
def fail(orig, self, *args, **kwargs):
    raise RuntimeError('hgweb has been called')
def uisetup(ui):
    try:
        from mercurial.hgweb.hgweb_mod_inner import hgweb
    except ImportError:
        from mercurial.hgweb.hgweb_mod import hgweb
    extensions.wrapfunction(hgweb, '_runwsgi', fail)
"""


@pytest.mark.parametrize('server', [BESIDE_OTHERS], indirect=True)
def test_declared_wrappers_are_skipped(server: Server) -> None:
    assert server.put(CONTENT).status == 201
    assert server.get(oid_of(CONTENT)).body == CONTENT
