"""What the commands do when nothing is said. Imports nothing heavy: ``--help`` shows these."""

from pathlib import Path

WORKSPACE = Path("edgesqz-workspace")
DATASET = "cifar10"  # where no manifest and nobody else names one
CALIBRATION_IMAGES = 500
BENCH_ROUNDS = 30
DEMO_WORKSPACE = Path("edgesqz-demo")
DEMO_QUOTA = "2MB"
DEMO_SECONDS = 60  # of training
DEMO_TEST_IMAGES = 1000
