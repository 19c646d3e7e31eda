"""PostgreSQL and Valkey from ordinary wheels, run as children of ``manage.py up``.

Both listen on Unix sockets below ``VAR`` only, so that no port is open but the web's and
nobody but the owner can connect.
"""
