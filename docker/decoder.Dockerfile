# Access unit to published detections, on CPU. No libtorch. The street detector is in it; mount another at
# AUTOTILER_MODEL, read-only.
FROM scratch
COPY . /
LABEL org.opencontainers.image.title=autotiler-decoder org.opencontainers.image.licenses="Apache-2.0 AND GPL-2.0-or-later"
ENV ORT_DYLIB_PATH=/usr/lib/libonnxruntime.so \
    AUTOTILER_FFMPEG=/usr/bin/ffmpeg \
    AUTOTILER_MODEL=/opt/autotiler/models/street \
    AUTOTILER_ADMIN=0.0.0.0:9102
EXPOSE 9102
USER 10001:10001
ENTRYPOINT ["/usr/bin/autotiler-decoder"]
