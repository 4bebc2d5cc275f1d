# The local stand-in for docker.io/library/redis:7.0-bookworm, where no image registry is at hand: Debian bookworm's own
# Redis 7.0 on the base image.
FROM docker.io/library/python:3.11-slim-bookworm
RUN apt-get update && apt-get install --yes --no-install-recommends redis-server \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin
USER redis
CMD ["redis-server"]
