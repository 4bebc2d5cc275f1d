# The local stand-in for docker.io/library/python:3.11-slim-bookworm, where no image registry is at hand:
# Debian bookworm with its own Python 3.11 under the official image's names.
FROM scratch
ADD root.tar /
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
# pip brings its own list of authorities; here the machine's is the one that counts.
ENV LANG=C.UTF-8 SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt PIP_CERT=/etc/ssl/certs/ca-certificates.crt
RUN ln -s /usr/bin/python3 /usr/local/bin/python && ln -s /usr/bin/python3 /usr/local/bin/python3 \
 && ln -s /usr/bin/pip3 /usr/local/bin/pip && rm -f /usr/lib/python3.*/EXTERNALLY-MANAGED
CMD ["python3"]
