# cargo-brig on a mounted workspace, as an ordinary user and without added privileges:
#
#   docker build -t cargo-brig .
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD":/work cargo-brig build
#
# What build scripts need beyond a C compiler (CMake, pkg-config, headers) is for an image on top.

FROM rust:1.95.0-slim-bookworm AS builder
WORKDIR /src
COPY . .
# Honours .cargo/config.toml, by which the program is linked statically.
RUN cargo install --path . --locked --root /opt/cargo-brig

# A Cargo subcommand needs Cargo, rustc and a linker.
FROM rust:1.95.0-slim-bookworm
# The toolchain of the image, whatever the workspace's rust-toolchain.toml asks for.
ENV RUSTUP_TOOLCHAIN=1.95.0 \
    HOME=/home/brig \
    CARGO_HOME=/home/brig/.cargo
# Whoever `--user` names has to be able to write to the home directory.
RUN useradd --uid 1000 --user-group --home-dir /home/brig --no-create-home brig \
    && install --directory --owner brig --group brig --mode 1777 /home/brig /home/brig/.cargo /work
COPY --from=builder /opt/cargo-brig/bin/cargo-brig /usr/local/bin/
USER brig
WORKDIR /work
ENTRYPOINT ["cargo", "brig"]
CMD ["--help"]
