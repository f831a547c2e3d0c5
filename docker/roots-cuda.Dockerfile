# Builds the decoder for GPUs and assembles its root file system; docker/build decoder-cuda then makes an image of it.
#
#   docker build --file docker/roots-cuda.Dockerfile --output out/roots .
FROM docker.io/library/rust:1.92.0-bookworm AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends unzip g++ libx265-dev libnuma-dev nasm patch debian-archive-keyring \
 && rm -rf /var/lib/apt/lists/*
# The version is that of tests/setup/versions, which tch binds and no other.
ARG LIBTORCH_URL=https://download.pytorch.org/libtorch/cu128/libtorch-shared-with-deps-2.11.0%2Bcu128.zip
RUN curl --fail --location --output /tmp/libtorch.zip "$LIBTORCH_URL" && unzip -q /tmp/libtorch.zip -d /opt \
 && rm /tmp/libtorch.zip /opt/libtorch/lib/*.a
WORKDIR /src
COPY tests/setup tests/setup
COPY docker/ffmpeg docker/ffmpeg
ENV AUTOTILER_CACHE=/opt/autotiler/cache LIBTORCH=/opt/libtorch
RUN docker/ffmpeg "$AUTOTILER_CACHE/ffmpeg-small"
COPY . .
RUN cargo build --locked --release --package autotiler-torch --bin autotiler-decoder-torch
RUN docker/roots /roots target/release decoder-cuda

FROM scratch
COPY --from=build /roots /
