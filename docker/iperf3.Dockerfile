# iperf3 of the machine that built it, for the end-to-end suite to try links with (tests/kind/e2e).
FROM scratch
COPY . /
ENV PATH=/usr/bin
EXPOSE 5201
USER 10001:10001
ENTRYPOINT ["/usr/bin/iperf3"]
