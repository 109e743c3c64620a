# shellcheck shell=bash disable=SC2154  # read by check.sh, which sets the variables
# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Steps about what is written beside the code.

step_docs() {
  (cd "$tree" && PATH=$tools/bin:$PATH antsibull-docs lint-collection-docs . --plugin-docs --skip-rstcheck \
    --validate-collection-refs=self --disallow-unknown-collection-refs)
}

step_site() { make -C "$checkout" docs; }

# Licence and copyright of every file, by its header or by .reuse/dep5. The licence's text lies where GitHub and Galaxy
# look for it; REUSE wants it in a folder, which only the copy has.
step_licences() {
  mkdir "$tree/LICENSES"
  cp "$tree/LICENSE" "$tree/LICENSES/GPL-3.0-or-later.txt"
  "$tools/bin/reuse" --root "$tree" --no-multiprocessing lint --lines
}

# What `pre-commit` does to a commit, done to all files.
step_hooks() {
  cd "$checkout" && PRE_COMMIT_HOME=$work/pre-commit "$tools/bin/pre-commit" run --all-files
}

# docs/CHANGELOG.md is what its fragments make of it; UPDATE=1 writes it.
step_changelog() {
  local rendered=$work/CHANGELOG.md
  (cd "$tree/docs" && render_changelog) >"$rendered"
  if [ -n "${UPDATE:-}" ]; then
    cp "$rendered" "$checkout/docs/CHANGELOG.md"
  elif ! diff -u "$checkout/docs/CHANGELOG.md" "$rendered"; then
    echo 'docs/CHANGELOG.md is made from docs/changelogs: write a fragment there, then run "make changelog".'
    return 1
  fi
}

# What antsibull-changelog makes of releases and fragments, without the escapes that nobody needs to read.
render_changelog() {
  local version unreleased=
  version=$(sed -n 's/^version: //p' "$tree/galaxy.yml")
  "$tools/bin/antsibull-changelog" lint >&2
  if [ -n "$(find changelogs/fragments -name '*.yml')" ]; then
    unreleased=' (unreleased)'
    "$tools/bin/antsibull-changelog" release --version "$version" >&2
  else
    "$tools/bin/antsibull-changelog" generate >&2
  fi
  echo '<!-- Made by "make changelog" from changelogs/: do not change it here. -->'
  sed -E -e '/^<a id=|^\*\*Topics\*\*$|^ *- <a href=/d' -e 's#</?code>#`#g' -e 's/\\([[:punct:]])/\1/g' \
    -e "s/^## v$version\$/&$unreleased/" CHANGELOG.md | cat -s
}
