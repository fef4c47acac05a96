"""The client over real loopback sockets."""
