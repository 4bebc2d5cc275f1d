# Everything is done by the standard-library package in local/; see `make help`.
local = PYTHONPATH=local PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 python3 -m ibfeed_local

.DEFAULT_GOAL := help
.PHONY: help demo up cluster images deploy kubeconfig ticks down clean lint test-fast test test-gateway bench-ownership bench-worker lock

help:
	@echo "make demo        from nothing to live ticks on Kafka: cluster, Kafka, images, simulator, operator, examples"
	@echo "make up          the same without the examples"
	@echo "make cluster     only Kubernetes and Kafka"
	@echo "make images      build what has changed and hand it to the cluster"
	@echo "make deploy      images, and what runs of them on the cluster, up to date"
	@echo "make kubeconfig  what to evaluate for kubectl: eval \"\$$(make -s kubeconfig)\""
	@echo "make ticks       ticks from Kafka, until Ctrl-C"
	@echo "make down        stop everything; caches and images stay"
	@echo "make clean       down, and remove the state folder"
	@echo "make lint        style, types, import contracts"
	@echo "make test-fast   lint and unit tests, without cluster and Kafka"
	@echo "make test        everything, on the local cluster"
	@echo "make test-gateway     accept a gateway build: GATEWAY=FILE, such as IB's clientportal.gw.zip, on the local cluster"
	@echo "make bench-ownership  moves, crashes, hung workers against the venue's ground truth, on the local cluster"
	@echo "make bench-worker     the worker's data path: throughput, latency, stalls, beside other clients'"
	@echo "make lock        resolve the locked requirements anew"
	@echo
	@echo "IBFEED_STATE=FOLDER  where all that is built and running lies (/var/lib/ibfeed-local)"
	@echo "CLUSTER=current      demo, up, deploy, ticks: on the current kubectl context. Needs"
	@echo "                     IMAGES=REGISTRY/PREFIX TAG=TAG KAFKA=HOST:PORT"

demo up cluster images deploy kubeconfig ticks down clean lint test-fast test test-gateway bench-ownership bench-worker lock:
	@$(local) $@
