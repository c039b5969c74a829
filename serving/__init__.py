"""What applications embed: assignment from memory, with what happened reported in the background.

`Serving` is the whole of it; `serving.provider.RampartProvider` is the same behind OpenFeature.
"""

from serving.serving import Serving

__all__ = ["Serving"]
