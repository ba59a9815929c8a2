"""detcore: streaming reductions for detector data, the same in a script, on the command line and in the dashboard."""

from detcore.core.follow import follow as follow
from detcore.core.run import run as run
from detcore.core.run import stream as stream
from detcore.core.source import open_source as open_source
