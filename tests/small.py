"""Small networks, the first layers of ``squeezenet-nano``: quick to train, convert and load."""

NETWORK = "squeezenet-16p-16x48-16x80"
ONE_FIRE = "squeezenet-16p-16x48"  # TensorFlow traces it in half the time
