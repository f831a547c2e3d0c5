# Observes links and devices, and decides their operating points.
FROM scratch
COPY . /
LABEL org.opencontainers.image.title=autotiler-controller org.opencontainers.image.licenses=Apache-2.0
EXPOSE 9104
USER 10001:10001
ENTRYPOINT ["/usr/bin/autotiler-controller"]
