# Shows what devices measure: to Prometheus, and to people as the live page.
FROM scratch
COPY . /
LABEL org.opencontainers.image.title=autotiler-gateway org.opencontainers.image.licenses="Apache-2.0 AND GPL-2.0-or-later"
ENV AUTOTILER_FFMPEG=/usr/bin/ffmpeg
EXPOSE 8080 9464
USER 10001:10001
ENTRYPOINT ["/usr/bin/autotiler-gateway"]
