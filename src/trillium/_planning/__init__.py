"""A job rehearsed in virtual time: what it will take, before it is paid for."""
