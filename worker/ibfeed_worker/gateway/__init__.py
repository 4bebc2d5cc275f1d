"""The gateway process: any distribution with ``bin/run.sh`` and ``root/conf.yaml``, IB's own or the simulator's."""
