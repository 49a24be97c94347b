# The benchmark on a machine with NVIDIA GPUs and the NVIDIA Container Toolkit:
#
#   docker build -t wsss-benchmark .
#   docker run --rm --gpus all --ipc=host --user "$(id -u):$(id -g)" -v "$PWD:/work" \
#       wsss-benchmark run --table seenet_table1
#
# The store and the results appear in the folder that is mounted as /work. PyTorch's wheels bring
# CUDA's libraries and cuDNN along, so the smallest of the runtime images is enough.

FROM nvidia/cuda:13.0.1-base-ubuntu24.04 AS installed

# DenseCRF is compiled. Ubuntu keeps no old versions of its packages, so none is pinned here.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv /opt/venv

ENV PATH=/opt/venv/bin:$PATH
WORKDIR /source

# Dependencies first: gigabytes that a change of the code leaves as they are.
COPY constraints.txt pyproject.toml ./
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" \
        > dependencies.txt \
    && pip install --no-cache-dir -c constraints.txt -r dependencies.txt

COPY LICENSE MANIFEST.in README.md ./
COPY benchmark benchmark
COPY methods methods
COPY mmseg_configs mmseg_configs
RUN pip install --no-cache-dir --no-deps -c constraints.txt .


FROM nvidia/cuda:13.0.1-base-ubuntu24.04

# OpenCV loads libGL and GLib.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgl1 libglib2.0-0t64 python3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home benchmark \
    && install --directory --owner benchmark --group benchmark /work

COPY --from=installed /opt/venv /opt/venv
# With --user there is no home to write to.
ENV PATH=/opt/venv/bin:$PATH MPLCONFIGDIR=/tmp/matplotlib

USER 10001
WORKDIR /work
ENTRYPOINT ["wsss-benchmark"]
CMD ["--help"]
