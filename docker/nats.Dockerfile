# nats-server of the machine that built it, for a trial cluster that reaches no registry (tests/kind/up).
FROM scratch
COPY . /
ENV PATH=/usr/bin
EXPOSE 4222 8222
USER 10001:10001
ENTRYPOINT ["/usr/bin/nats-server"]
