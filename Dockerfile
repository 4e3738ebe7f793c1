# The node, for CPU and CUDA alike: PyTorch's wheels bring their own CUDA libraries, the host brings the driver.
# Settings are mounted at /etc/mammo-node/node.toml; everything that must last is in the volume /data. Nothing else is written
# but temporary files (/tmp), so the root may be read-only, as in compose.yaml.

# The digest of the tag, as your registry shows it: --build-arg PYTHON_DIGEST=sha256:…  Without it the tag decides.
ARG PYTHON_DIGEST=

FROM python:3.13.9-slim-bookworm${PYTHON_DIGEST:+@$PYTHON_DIGEST} AS build
WORKDIR /src
RUN python -m venv /opt/mammo-node
ENV PATH=/opt/mammo-node/bin:$PATH
COPY requirements-uv.txt requirements.txt ./
RUN pip install --no-cache-dir --no-deps --require-hashes -r requirements-uv.txt
RUN uv pip sync --no-cache --python /opt/mammo-node/bin/python --compile-bytecode --require-hashes requirements.txt
# Another source of torch's wheels, such as one for another CUDA. Untried; their hashes are not checked.
ARG TORCH_INDEX=
RUN if [ -n "$TORCH_INDEX" ]; then \
    uv pip install --no-cache --python /opt/mammo-node/bin/python --compile-bytecode --reinstall --no-deps \
        --index-url "$TORCH_INDEX" $(sed -n -E 's/^(torch|torchvision)==([^ ;]+).*/\1==\2/p' requirements.txt); fi
COPY pyproject.toml README.md LICENSE ./
COPY config config
COPY dicom_io dicom_io
COPY models models
COPY node node
RUN uv pip install --no-cache --python /opt/mammo-node/bin/python --compile-bytecode --no-deps --no-build-isolation .

FROM python:3.13.9-slim-bookworm${PYTHON_DIGEST:+@$PYTHON_DIGEST}
COPY --from=build /opt/mammo-node /opt/mammo-node
ENV PATH=/opt/mammo-node/bin:$PATH PYTHONUNBUFFERED=1
# The last command of a shell: afterwards there is none, and no package manager.
RUN useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin mammo-node \
    && install -d -m 0700 -o mammo-node /data \
    && rm -f /usr/local/bin/pip* /usr/bin/apt* /usr/bin/dpkg* /usr/bin/perl* /usr/bin/su /usr/bin/mount /usr/bin/umount \
        /usr/bin/bash /usr/bin/dash /usr/bin/sh
USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 11112 2575 8080
HEALTHCHECK --interval=60s --timeout=15s --start-period=60s \
    CMD ["python", "-m", "node.alive", "/etc/mammo-node/node.toml"]
ENTRYPOINT ["mammo-node"]
CMD ["serve", "--config", "/etc/mammo-node/node.toml"]
