# The command line in a container: docker build --tag edgesqz .
FROM python:3.12-slim AS build
COPY . /source
# A third of TensorFlow is C++ headers, which nothing needs at run time.
RUN python -m venv --without-pip /opt/edgesqz \
    && pip --python /opt/edgesqz/bin/python install --no-cache-dir --no-compile \
        --constraint /source/constraints.txt '/source[plot]' \
    && rm -rf /opt/edgesqz/lib/python3.*/site-packages/tensorflow/include

FROM python:3.12-slim
COPY --from=build /opt/edgesqz /opt/edgesqz
ENV PATH=/opt/edgesqz/bin:$PATH HOME=/tmp
# Any user can write to the working directory, so that `docker run --user` works.
RUN mkdir --mode 1777 /work
WORKDIR /work
USER 1000
ENTRYPOINT ["edgesqz"]
CMD ["--help"]
