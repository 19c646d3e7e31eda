"""Backups: what a console knows and made, as a folder that another one can begin from.

``database.dump`` (PostgreSQL's own), ``artifacts/`` as the database names them, ``keys.json``
where it is wished, and last of all ``manifest.json`` with the SHA-256 of each file: a folder
without it is no backup. Database and list of artifacts are of one moment, while all goes on.
"""
