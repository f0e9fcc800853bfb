"""Pictures, texts and sequences before training: `keras.preprocessing`."""

from staghorn.preprocessing import image as image
from staghorn.preprocessing import sequence as sequence
from staghorn.preprocessing import text as text
from staghorn.utils.directories import (
    image_dataset_from_directory as image_dataset_from_directory,
)
from staghorn.utils.directories import text_dataset_from_directory as text_dataset_from_directory
from staghorn.utils.timeseries import (
    timeseries_dataset_from_array as timeseries_dataset_from_array,
)
