"""Labeled images: CIFAR-10, CIFAR-100, MNIST, synthetic images, and folders of image files."""

from edgesqz.data.cifar import cache_dir as cache_dir
from edgesqz.data.datasets import DATASETS as DATASETS
from edgesqz.data.datasets import SIZES as SIZES
from edgesqz.data.datasets import class_count as class_count
from edgesqz.data.datasets import load as load
from edgesqz.data.datasets import locate as locate
from edgesqz.data.datasets import provided as provided
from edgesqz.data.folders import image_files as image_files
from edgesqz.data.folders import read_image as read_image
from edgesqz.data.samples import Batch as Batch
from edgesqz.data.samples import Samples as Samples
from edgesqz.data.samples import sample_shape as sample_shape
from edgesqz.data.splits import Dataset as Dataset
from edgesqz.data.splits import Split as Split
from edgesqz.data.splits import holdout_split as holdout_split
from edgesqz.data.splits import sample as sample
from edgesqz.data.splits import with_channels as with_channels
from edgesqz.data.synthetic import draw as draw
