# syntax=docker/dockerfile:1

# The two base images share a Debian release, so that the program runs with the C library that it was linked to.
FROM rust:1-slim-trixie AS build
WORKDIR /build
COPY . .
# The crates and what was compiled of them stay in the builder's cache from one build to the next. Cargo tells by time
# stamps whether our own crate has changed, and a copied file may be older than the cached build: hence the `touch`.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/build/target,sharing=locked \
    touch src/lib.rs src/main.rs \
    && cargo build --release --locked --bin larkive \
    && install -D target/release/larkive /out/usr/local/bin/larkive \
    && install -D -m 0644 /etc/ssl/certs/ca-certificates.crt /out/etc/ssl/certs/ca-certificates.crt \
    && install -d -m 0700 /out/data

FROM debian:trixie-slim
COPY --from=build /out/usr/local/bin/larkive /usr/local/bin/larkive
# The certificates of the platform's hosts are checked against these.
COPY --from=build /out/etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
# The catalogue, the spool and the blobs: the only place that Larkive writes to.
COPY --from=build --chown=10001:10001 /out/data /data
ENV LARKIVE_DATA_DIR=/data \
    LARKIVE_LISTEN=0.0.0.0:8080
VOLUME /data
USER 10001:10001
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=15s --retries=3 CMD ["larkive", "health"]
ENTRYPOINT ["larkive"]
CMD ["serve"]
