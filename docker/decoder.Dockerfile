# The decoder process on CPU: access unit to published detections. No libtorch.
#
#   docker build --file docker/decoder.Dockerfile --tag autotiler-decoder .
#
# Written without a container engine at hand: the same steps ran by hand in a bare Debian 12, the file itself was
# never built.

FROM rust:1.92-bookworm AS build
WORKDIR /src
# Before the sources, so that a changed line of Rust downloads nothing again.
COPY tests/setup tests/setup
ENV AUTOTILER_CACHE=/opt/autotiler/cache
RUN tests/setup/install demo
COPY . .
RUN cargo build --locked --release --package autotiler-decoder
RUN mkdir -p /out && cp target/release/autotiler-decoder /out/ \
 && cp -L "$AUTOTILER_CACHE"/onnxruntime-*/libonnxruntime.so /out/

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates ffmpeg \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --no-create-home autotiler
COPY --from=build /out/autotiler-decoder /usr/local/bin/
COPY --from=build /out/libonnxruntime.so /usr/local/lib/
ENV ORT_DYLIB_PATH=/usr/local/lib/libonnxruntime.so
# The model directory is mounted here, read-only: images and models change at different times.
VOLUME /opt/autotiler/model
ENV AUTOTILER_MODEL=/opt/autotiler/model AUTOTILER_ADMIN=0.0.0.0:9102
EXPOSE 9102
# By number, so that Kubernetes can see that it is not root.
USER 10001
# No shell between the process and SIGTERM, which drains it.
ENTRYPOINT ["/usr/local/bin/autotiler-decoder"]
