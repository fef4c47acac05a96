"""Peers that mean harm, or are broken: each with what has to come of it.

How they are counted:

- against the gateway: ``CASES`` of ``test_against_gateway.py``, each over a real socket, and each
  followed by a peer in good order that has to be served. More are in ``test_sockets.py``,
  ``test_behaviour.py`` and ``test_slow_readers.py`` of ``tests/integration/gateway``;
- against the client: ``CASES`` of ``test_against_client.py``, each over a real socket through a
  whole ``IpcClient``, which has to be connected again afterwards. More are in
  ``test_bad_backends_at_connect.py`` (no backend at all) and ``test_bad_answers.py`` of
  ``tests/integration/client``, in ``tests/integration/transport`` (the opening handshake) and,
  frame by frame, in ``tests/unit/transport``.
"""
