#!/usr/bin/env bash
# Sets up what the tests need and runs all of them:  bash tests/run.sh [arguments for pytest]
#
# Uses the active virtual environment, else makes .venv. Asks the network only for what is missing.
# PYTHON chooses the interpreter for .venv, CHROMIUM the browser.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '== %s\n' "$*" >&2; }
stop() {
  printf 'tests/run.sh: %s\n' "$*" >&2
  exit 1
}

environment() {
  local python=${PYTHON:-python3} extras="test,bench" state
  if [ -z "${VIRTUAL_ENV:-}" ]; then
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
      stop "needs Python 3.11 or newer; install it, or name one with PYTHON=/path/to/python"
    [ -x .venv/bin/python ] || { say "making .venv" && "$python" -m venv .venv; } ||
      stop "cannot make a virtual environment (on Debian: apt-get install python3-venv)"
    export VIRTUAL_ENV=$PWD/.venv
  fi
  export PATH=$VIRTUAL_ENV/bin:$PATH
  # Once for each pyproject.toml, so that later runs need no network.
  state="$PWD $extras $(cksum <pyproject.toml)"
  if [ "$(cat "$VIRTUAL_ENV/.detcore-tests" 2>/dev/null)" != "$state" ]; then
    say "installing detcore[$extras] into $VIRTUAL_ENV"
    python -m pip install --quiet --disable-pip-version-check --editable ".[$extras]" ||
      stop "pip could not install the packages; see above"
    # It asks for an older ctapipe than the tests do, but works with that one. Without it some tests say that it is missing.
    python -m pip install --quiet --disable-pip-version-check --no-deps dl1-data-handler==0.14.6 ||
      say "dl1-data-handler cannot be installed; the comparisons with it are left out"
    echo "$state" >"$VIRTUAL_ENV/.detcore-tests"
  fi
}

find_browser() { # prints the path of a Chromium that starts
  local name path names=(chromium chromium-browser google-chrome)
  [ -z "${CHROMIUM:-}" ] || names=("$CHROMIUM")
  for name in "${names[@]}"; do
    path=$(command -v "$name") && "$path" --version >/dev/null 2>&1 && echo "$path" && return
  done
  path=$(python -c 'from playwright.sync_api import sync_playwright as start
with start() as playwright: print(playwright.chromium.executable_path)') && [ -x "$path" ] && echo "$path"
}

apt_install() {
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
  say "installing $* with apt-get"
  apt-get update -qq &&
    DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends "$@" >/dev/null
}

browser() {
  CHROMIUM=$(find_browser) || {
    apt_install chromium fonts-liberation || true # where that is only a stub, Playwright helps
    CHROMIUM=$(find_browser) || { python -m playwright install chromium >&2 && CHROMIUM=$(find_browser); } ||
      stop "no Chromium: install one (Debian, as root: apt-get install chromium), or set CHROMIUM to its path"
  }
  export CHROMIUM
}

redis() {
  command -v redis-server >/dev/null || apt_install redis-server || true
  command -v redis-server >/dev/null ||
    stop "no redis-server: install it (Debian, as root: apt-get install redis-server; macOS: brew install redis)"
}

environment
browser
redis
say "$(python --version), $("$CHROMIUM" --version 2>/dev/null), $(redis-server --version | cut -d' ' -f1-3)"
say "linters"
python -m poethepoet lint
say "tests"
[ $# = 0 ] || exec python -m pytest "$@"
# What needs a browser runs alone, so that nothing is late because of another test.
python -m pytest --numprocesses auto --dist loadfile -m "not browser" || failed=1
python -m pytest -m browser || failed=1
[ -z "${failed:-}" ] || stop "tests failed; see above"
