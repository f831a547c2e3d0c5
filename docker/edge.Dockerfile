# Camera to published access unit. No libtorch, no GPU. The street detector is in it; mount another at
# AUTOTILER_MODEL, read-only. AUTOTILER_POINT and AUTOTILER_NATS have no default that could be right.
FROM scratch
COPY . /
LABEL org.opencontainers.image.title=autotiler-edge org.opencontainers.image.licenses="Apache-2.0 AND GPL-2.0-or-later"
ENV ORT_DYLIB_PATH=/usr/lib/libonnxruntime.so \
    AUTOTILER_FFMPEG=/usr/bin/ffmpeg \
    AUTOTILER_MODEL=/opt/autotiler/models/street \
    AUTOTILER_ADMIN=0.0.0.0:9101
EXPOSE 9101
USER 10001:10001
ENTRYPOINT ["/usr/bin/autotiler-edge"]
