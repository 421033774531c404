#!/bin/sh
# kit_exclusive.sh KIT STORE ARGUMENT...: all checks of the kit but those that open a store twice, which a store that is
# not shared refuses.
set -eu
kit=$1 store=$2
shift 2
list=$("$kit" "$store" --list)
old_ifs=$IFS
IFS='
'
for name in $list; do
    case $name in
        'a locked row makes others wait' | 'a lock ends at its deadline' | 'others are told of a commit') ;;
        *) set -- "$@" --only "$name" ;;
    esac
done
IFS=$old_ifs
exec "$kit" "$store" "$@"
