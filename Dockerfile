# The base is pinned by its tag, which gets security updates; for builds that repeat to the byte, pin the digest of the day too.
FROM docker.io/library/python:3.11-slim AS build
WORKDIR /src
COPY requirements/run.txt requirements/run.txt
RUN python3 -m venv --without-pip /opt/joblog \
 && pip --python /opt/joblog/bin/python install --no-cache-dir --require-hashes --only-binary :all: -r requirements/run.txt \
 # What joblog never loads: headers, tests, and Arrow's own clients for RPC and S3. The import shows that all else is there.
 && cd /opt/joblog/lib/python3.*/site-packages \
 && rm -rf pyarrow/include pyarrow/tests pyarrow/src numpy/tests numpy/*/tests \
 && rm -f pyarrow/*flight* pyarrow/*arrow_s3* pyarrow/_s3fs* \
 && /opt/joblog/bin/python -c 'import pyarrow.compute, pyarrow.dataset, pyarrow.parquet'
COPY pyproject.toml README.md LICENSE ./
COPY collector collector
RUN pip --python /opt/joblog/bin/python install --no-cache-dir --no-deps .

FROM docker.io/library/python:3.11-slim
COPY --from=build /opt/joblog /opt/joblog
RUN install -d -o 65532 -g 65532 /var/lib/joblog
# Modules are compiled above, and nothing is written but the state, so the root file system may be read-only.
ENV PATH=/opt/joblog/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 65532:65532
ENTRYPOINT ["joblog"]
