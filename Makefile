# Everything is done by the standard-library package in local/. `make help` prints the text after each `##`.
local = PYTHONPATH=local PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 python3 -m ibfeed_local
makefile := $(firstword $(MAKEFILE_LIST))
targets := $(shell sed -n 's/^\([a-z-]*\): *\#\# .*/\1/p' $(makefile))

.DEFAULT_GOAL := help
.PHONY: help $(targets)

demo: ## from nothing to live ticks on Kafka: cluster, Kafka, images, simulator, operator, examples
up: ## the same without the examples
cluster: ## only Kubernetes and Kafka
images: ## build what has changed and hand it to the cluster
deploy: ## images, and what runs of them on the cluster, up to date
kubeconfig: ## what to evaluate for kubectl: eval "$(make -s kubeconfig)"
ticks: ## ticks from Kafka, until Ctrl-C
down: ## stop everything; caches and images stay
clean: ## down, and remove the state folder
lint: ## style, types, import contracts
test-fast: ## lint and unit tests, without cluster and Kafka
coverage: ## lines of the pure modules that the unit tests reach
docs: ## the documentation site, links checked, and its reference made from crds/*.yaml again
test: ## everything, on the local cluster
test-gateway: ## accept a gateway build: GATEWAY=FILE, such as IB's clientportal.gw.zip, on the local cluster
bench-ownership: ## moves, crashes, hung workers against the venue's ground truth, on the local cluster
bench-always-on: ## the stream while the API server is away, against the venue's ground truth
bench-worker: ## the worker's data path: throughput, latency, stalls, beside other clients'
bench-downstream: ## what readers, stores and recordings get of a feed: rates, latency, losses
monitoring: ## the pages of metrics and events and the dashboard, made from the code again
schemas: ## the category schemas' artefacts and page, made from schemas/categories/*.yaml again
charts: ## the Helm chart's templates, made from manifests/ again
lock: ## resolve the locked requirements again

## IBFEED_STATE=FOLDER  where all that is built and running lies (/var/lib/ibfeed-local)
## CLUSTER=current      demo, up, deploy, ticks: on the current kubectl context. Needs
##                      IMAGES=REGISTRY/PREFIX TAG=TAG KAFKA=HOST:PORT

help:
	@awk -F ': *## ' '/^[a-z-]+: *## / {printf "make %-16s %s\n", $$1, $$2} \
	  /^## / {if (!notes++) print ""; print substr($$0, 4)}' $(makefile)

$(targets):
	@$(local) $@
