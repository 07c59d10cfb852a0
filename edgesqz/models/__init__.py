"""Networks: their architectures, their costs, and Keras models from anywhere."""

from edgesqz.models.architectures import ARCHITECTURES as ARCHITECTURES
from edgesqz.models.architectures import PREPROCESSING as PREPROCESSING
from edgesqz.models.architectures import SqueezeNetModel as SqueezeNetModel
from edgesqz.models.architectures import architecture as architecture
from edgesqz.models.architectures import build_model as build_model
