# Prometheus of the machine that built it, for a trial cluster that reaches no registry (tests/kind/up).
FROM scratch
COPY . /
ENV PATH=/usr/bin
EXPOSE 9090
USER 10001:10001
ENTRYPOINT ["/usr/bin/prometheus"]
