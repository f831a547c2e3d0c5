# Access unit to published detections, on libtorch: on a GPU with NVIDIA's container runtime, which brings the driver. The
# street detector is in it; mount another at AUTOTILER_MODEL, read-only.
FROM scratch
COPY . /
LABEL org.opencontainers.image.title=autotiler-decoder-cuda org.opencontainers.image.licenses="Apache-2.0 AND BSD-3-Clause AND GPL-2.0-or-later"
ENV LD_LIBRARY_PATH=/opt/libtorch/lib \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    AUTOTILER_FFMPEG=/usr/bin/ffmpeg \
    AUTOTILER_MODEL=/opt/autotiler/models/street \
    AUTOTILER_ADMIN=0.0.0.0:9102
EXPOSE 9102
USER 10001:10001
ENTRYPOINT ["/usr/bin/autotiler-decoder-torch"]
