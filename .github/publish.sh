#!/usr/bin/env bash
# Put a website on the branch that GitHub Pages shows, or take one of its folders away.
#
#   .github/publish.sh WEBSITE             replace everything but the previews
#   .github/publish.sh WEBSITE FOLDER      replace one folder, such as preview/pr-7
#   .github/publish.sh --remove FOLDER     remove one folder
set -euo pipefail

# Who writes to the branch; nobody else is told to git on the machines of GitHub.
export GIT_AUTHOR_NAME="github-actions[bot]" GIT_COMMITTER_NAME="github-actions[bot]"
export GIT_AUTHOR_EMAIL="41898282+github-actions[bot]@users.noreply.github.com"
export GIT_COMMITTER_EMAIL=$GIT_AUTHOR_EMAIL

branch=gh-pages
website=$1
folder=${2:-}
pages=$(mktemp -d)

case $folder in
    "" | preview/pr-[0-9]*) ;;
    *) echo "publish: $folder is not a folder of a preview" >&2 && exit 2 ;;
esac
if [ "$website" = --remove ] && [ -z "$folder" ]; then
    echo "publish: a folder to remove is expected" >&2 && exit 2
fi

# Where the branch is not there yet, this is the first website.
git fetch --quiet origin "+refs/heads/$branch:refs/remotes/origin/$branch" 2> /dev/null || true
if git rev-parse --quiet --verify "origin/$branch" > /dev/null; then
    git worktree add --quiet --force -B "$branch" "$pages" "origin/$branch"
else
    git worktree add --quiet --force --detach "$pages"
    git -C "$pages" checkout --quiet --orphan "$branch"
    git -C "$pages" rm -rf --quiet .
fi

if [ -n "$folder" ]; then
    rm -rf "${pages:?}/$folder"
else
    find "$pages" -mindepth 1 -maxdepth 1 ! -name .git ! -name preview -exec rm -rf {} +
fi
if [ "$website" != --remove ]; then
    mkdir -p "$pages/$folder"
    cp -R "$website/." "$pages/$folder"
    touch "$pages/.nojekyll"
fi

git -C "$pages" add --all
if git -C "$pages" diff --cached --quiet; then
    echo "publish: nothing has changed"
else
    git -C "$pages" commit --quiet --message "Website of $(git rev-parse --short HEAD)"
    # Another pull request's preview may have come first; it lies in another folder.
    git -C "$pages" push --quiet origin "$branch" || {
        git -C "$pages" pull --quiet --rebase origin "$branch"
        git -C "$pages" push --quiet origin "$branch"
    }
fi
git worktree remove --force "$pages"
