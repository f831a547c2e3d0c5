# Shapes the link of the pod it is in. The one image that may run as root: tc needs CAP_NET_ADMIN, which Kubernetes
# gives to no other user.
FROM scratch
COPY . /
LABEL org.opencontainers.image.title=autotiler-shaper org.opencontainers.image.licenses="Apache-2.0 AND GPL-2.0-or-later"
ENV PATH=/usr/bin
ENTRYPOINT ["/usr/bin/autotiler-shaper"]
