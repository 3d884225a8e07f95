"""Where clips come from: folders of sound files, mixtures of songs, and the cache of decoded audio beneath them."""


class DataError(Exception):
    """Nothing usable is left of the data; the message says what was looked at and why it was refused."""
