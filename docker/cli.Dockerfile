# `autotiler` and the kubectl plugin, for jobs in a cluster. What runs networks or draws needs a checkout instead.
FROM scratch
COPY . /
LABEL org.opencontainers.image.title=autotiler-cli org.opencontainers.image.licenses=Apache-2.0
ENV PATH=/usr/bin
USER 10001:10001
ENTRYPOINT ["/usr/bin/autotiler"]
