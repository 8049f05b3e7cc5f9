"""What every engine offers: named arrays out of one prepared picture."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt

Outputs = Mapping[str, npt.NDArray[np.float32]]


class Runtime(Protocol):
    """A loaded network. One per process; not to be shared by threads."""

    @property
    def output_names(self) -> frozenset[str]:
        """Names of what ``run`` returns."""
        ...

    def run(self, pixels: npt.NDArray[np.float32]) -> Outputs:
        """Run prepared pictures ``(n, size, size)``, -1 to 1; outputs keep the first axis."""
        ...
