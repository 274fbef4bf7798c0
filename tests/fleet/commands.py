# SPDX-License-Identifier: GPL-2.0-or-later
"""Run ``hg`` commands one after the other in the same process.

Starting hg takes a multiple of what most commands take. Mercurial's own command
server starts once. Nothing here knows what commands are for.
"""

from __future__ import annotations

import pathlib
import struct
import subprocess
import threading
from collections.abc import Mapping

from machines import HG


class Hanging(Exception):
    """A command did not end in time; what it has printed."""


class Commands:
    """A command server that is started when the first command is run."""

    def __init__(
        self, folder: pathlib.Path, environment: Mapping[str, str]
    ) -> None:
        self._folder = folder
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None

    def run(
        self, arguments: tuple[str, ...], seconds: float
    ) -> tuple[int, str]:
        """Run a command; return its status, and what it prints.

        Raises Hanging.
        """
        process = self._process or self._start()
        text = bytearray()
        hanging = threading.Timer(seconds, process.kill)
        hanging.start()
        try:
            status = self._exchange(process, arguments, text)
        except (OSError, EOFError) as error:
            self.close()
            if not hanging.is_alive():
                raise Hanging(text.decode('utf-8', 'replace')) from error
            status = -1
        finally:
            hanging.cancel()
        return status, text.decode('utf-8', 'replace')

    def close(self) -> None:
        """End the server."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _start(self) -> subprocess.Popen[bytes]:
        self._process = subprocess.Popen(
            [
                HG,
                'serve',
                '--cmdserver',
                'pipe',
                '--config',
                'ui.interactive=no',
            ],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        # The server says what it can.
        self._read(self._process)
        return self._process

    def _exchange(
        self,
        process: subprocess.Popen[bytes],
        arguments: tuple[str, ...],
        text: bytearray,
    ) -> int:
        data = '\0'.join(arguments).encode()
        assert process.stdin is not None
        process.stdin.write(
            b'runcommand\n' + struct.pack('>I', len(data)) + data
        )
        process.stdin.flush()
        while True:
            channel, data = self._read(process)
            if channel == b'r':
                return int(struct.unpack('>i', data)[0])
            if channel in b'oe':
                text += data
            elif channel.isupper():
                # It asks for input. There is none.
                process.stdin.write(struct.pack('>I', 0))
                process.stdin.flush()

    def _read(self, process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
        assert process.stdout is not None
        header = process.stdout.read(5)
        if len(header) < 5:
            raise EOFError
        channel, size = struct.unpack('>cI', header)
        if channel.isupper():
            return channel, b''
        data = process.stdout.read(size)
        if len(data) < size:
            raise EOFError
        return channel, data
