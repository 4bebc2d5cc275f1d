"""The file that ``spark-submit`` is given. It holds nothing else, since executors import the code that they run."""

import sys

from ibfeed_platform.spark.job import main

sys.exit(main(sys.argv[1:]))
