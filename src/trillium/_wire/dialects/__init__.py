"""The wire formats, a file each, which binds `DIALECT`. Nothing else belongs here."""
