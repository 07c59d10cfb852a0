"""Default values of the commands. Imports nothing heavy, because ``--help`` shows them."""

from pathlib import Path

WORKSPACE = Path("edgesqz-workspace")
DATASET = "cifar10"  # if neither the user nor a manifest names one
CALIBRATION_IMAGES = 500
BENCH_ROUNDS = 30
DEMO_WORKSPACE = Path("edgesqz-demo")
DEMO_QUOTA = "2MB"
DEMO_SECONDS = 60  # duration of training
DEMO_MIN_STEPS = 800  # after 500 steps on synthetic images, int8 files still disagreed with the source model
DEMO_TEST_IMAGES = 1000
