"""What can be wrong with a file; see `engine.file_errors`."""

from staghorn.engine.file_errors import CorruptFileError as CorruptFileError
from staghorn.engine.file_errors import UnsafeFileError as UnsafeFileError
