"""Where the server is called."""

from __future__ import annotations

import socket

from billhook.server.run import listening


def test_no_end_of_an_answer_is_held_back_until_its_beginning_is_confirmed():
    with listening("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        connection, _ = listener.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
