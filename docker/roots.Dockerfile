# Builds all programs and assembles the root file systems of the images; docker/build then makes an image of each.
#
#   docker build --file docker/roots.Dockerfile --output out/roots .
#   docker build --platform linux/arm64 ...                            # the same on an arm64 machine, or slowly by QEMU
FROM docker.io/library/rust:1.92.0-bookworm AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends iproute2 libx265-dev libnuma-dev nasm patch debian-archive-keyring \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
# Before the sources, so that a changed line of Rust downloads nothing again.
COPY tests/setup tests/setup
COPY docker/ffmpeg docker/ffmpeg
ENV AUTOTILER_CACHE=/opt/autotiler/cache
RUN tests/setup/install demo && docker/ffmpeg "$AUTOTILER_CACHE/ffmpeg-small"
COPY . .
RUN cargo build --locked --release --package autotiler --package autotiler-controller --package autotiler-decoder \
    --package autotiler-edge --package autotiler-gateway --package autotiler-kubectl --package autotiler-shaper
RUN docker/roots /roots target/release

FROM scratch
COPY --from=build /roots /
