"""A small network: the first layers of ``squeezenet-nano``, quick to train, convert and load."""

NETWORK = "squeezenet-16p-16x48-16x80"
